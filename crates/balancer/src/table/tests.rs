use super::*;
use crate::shed::MIN_AGE;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn backend(number: u8, state: BackendState) -> Backend {
    Backend { address: SocketAddr::from(([192, 0, 2, number], 6443)), state }
}

fn table(backends: &[Backend]) -> Table {
    let table = Table::new(Algorithm::LeastConnections);
    table.follow(backends);
    table
}

#[test]
fn sessions_spread_evenly_and_give_their_seats_back() {
    let table = table(&[1, 2, 3].map(|number| backend(number, BackendState::Up)));
    let seats: Vec<Seat<'_>> = (0..9).filter_map(|_| table.seat(CLIENT, &[])).collect();
    assert!(table.status().iter().all(|backend| backend.sessions == 3), "{:?}", table.status());
    drop(seats);
    assert!(table.status().iter().all(|backend| backend.sessions == 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_backend_s_sessions_end_if_another_is_up() {
    let table = table(&[backend(1, BackendState::Up)]);
    let first = table.seat(CLIENT, &[]).unwrap();
    table.follow(&[backend(1, BackendState::Down), backend(2, BackendState::Down)]);
    assert!(!first.session.is_ending(), "all are silent: it may be us");
    table.follow(&[backend(1, BackendState::Down), backend(2, BackendState::Up)]);
    assert!(!first.session.is_ending(), "it may be next");
    tokio::time::advance(RECOVERY_DURATION).await;
    table.tend(&Shedding { rate: 0, floor: 0 });
    assert!(first.session.is_ending());
    let second = table.seat(CLIENT, &[]).unwrap();
    table.follow(&[backend(1, BackendState::Up), backend(2, BackendState::Draining)]);
    assert!(!second.session.is_ending(), "what drains keeps its sessions");
}

#[test]
fn one_that_left_the_list_keeps_its_sessions_and_gets_none() {
    let table = table(&[backend(1, BackendState::Up)]);
    let old = table.seat(CLIENT, &[]).unwrap();
    table.follow(&[backend(2, BackendState::Draining)]);
    assert!(!old.session.is_ending());
    assert_eq!(table.seat(CLIENT, &[]).unwrap().address, backend(2, BackendState::Up).address);
    assert!(!table.has_untried(&[backend(2, BackendState::Up).address]));
    drop(old);
    assert_eq!(table.status().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn suspicion_ends_by_itself_and_with_news() {
    let up = [1, 2].map(|number| backend(number, BackendState::Up));
    let table = table(&up);
    let mut seats = vec![table.seat(CLIENT, &[]).unwrap()];
    table.suspect(&[seats[0].address]);
    seats.extend((0..3).map(|_| table.seat(CLIENT, &[]).unwrap()));
    assert!(seats[1..].iter().all(|seat| seat.address != seats[0].address));
    tokio::time::advance(SUSPICION_DURATION).await;
    assert_eq!(table.seat(CLIENT, &[]).unwrap().address, seats[0].address);
}

#[tokio::test(start_paused = true)]
async fn one_that_left_the_list_is_no_refuge() {
    let table = table(&[backend(1, BackendState::Up), backend(2, BackendState::Up)]);
    let seats = [table.seat(CLIENT, &[]).unwrap(), table.seat(CLIENT, &[]).unwrap()];
    tokio::time::advance(RECOVERY_DURATION).await;
    // The second is up as far as is known, and nobody looks any more.
    table.follow(&[backend(1, BackendState::Down)]);
    assert!(seats.iter().all(|seat| !seat.session.is_ending()));
}

#[tokio::test(start_paused = true)]
async fn what_is_shed_has_been_open_for_a_while_and_idle() {
    let table = table(&[backend(1, BackendState::Up), backend(2, BackendState::Down)]);
    let seats: Vec<Seat<'_>> = (0..40).map(|_| table.seat(CLIENT, &[]).unwrap()).collect();
    table.follow(&[1, 2].map(|number| backend(number, BackendState::Up)));
    let shedding = Shedding { rate: 10, floor: 5 };
    let ending = || seats.iter().filter(|seat| seat.session.is_ending()).count();
    // Nothing is answered yet, so nothing is moved.
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(1)).await;
        table.tend(&shedding);
    }
    assert_eq!(ending(), 0);
    seats.iter().for_each(|seat| seat.session.opened());
    table.tend(&shedding);
    assert_eq!(ending(), 0, "they are young");
    tokio::time::advance(MIN_AGE).await;
    let busy = &seats[0].session;
    busy.inward.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    table.tend(&shedding);
    assert_eq!(ending(), 10);
    assert!(!busy.is_ending(), "others were idle");
}

#[tokio::test]
async fn all_sessions_end_for_the_reason_that_came_first() {
    let table = table(&[backend(1, BackendState::Up)]);
    let seat = table.seat(CLIENT, &[]).unwrap();
    table.end_all(CloseReason::VipLeft);
    seat.session.end(CloseReason::Shed);
    assert_eq!(seat.session.ending().await, CloseReason::VipLeft);
}
