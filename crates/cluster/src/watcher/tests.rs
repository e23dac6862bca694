use super::*;

const PEER: ServerId = ServerId(1);

#[test]
fn the_first_retry_goes_elsewhere_at_once_and_the_next_ones_wait() {
    let mut course = Course { place: 0, failures: 0 };
    let waits: Vec<u128> = (0..7)
        .map(|_| {
            let pause = course.after(End::NotOpened, ServerId::LOCAL, Duration::ZERO);
            pause.as_millis()
        })
        .collect();
    assert_eq!(waits, [0, 200, 400, 800, 1600, 2000, 2000]);
    assert_eq!(course.place, 7);
}

#[test]
fn a_watch_that_ends_elsewhere_comes_home() {
    let mut course = Course { place: 2, failures: 0 };
    let pause = course.after(End::Broken, PEER, MIN_LIFETIME);
    assert_eq!((course.place, pause), (0, Duration::ZERO));
    course.after(End::Broken, ServerId::LOCAL, MIN_LIFETIME);
    assert_eq!(course.place, 1, "the local server has just failed");
}

#[test]
fn a_server_that_ends_each_watch_at_once_is_not_asked_without_a_pause() {
    let mut course = Course { place: 0, failures: 0 };
    let last = (0..10)
        .map(|_| course.after(End::Broken, ServerId::LOCAL, Duration::from_millis(1)))
        .last();
    assert_eq!(last, Some(MAX_BACKOFF));
}

#[test]
fn being_asked_goes_to_the_next_server_at_once() {
    let mut course = Course { place: 0, failures: 9 };
    let pause = course.after(End::Asked, ServerId::LOCAL, Duration::ZERO);
    assert_eq!((course.place, course.failures, pause), (1, 0, Duration::ZERO));
}
