//! Whole `pintle` processes on hosts in namespaces, before stand-in API servers.
//!
//! Needs root and iproute2; fails without them. Judged from outside: by `ip -j`, by packet capture, by
//! HTTP, by what is stored in the API, and by the log as far as it is contract.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod whole {
    mod api_loss;
    mod balancer;
    mod balancer_answers;
    mod balancer_check;
    mod balancer_follows;
    mod balancer_load;
    mod balancer_moves;
    mod balancer_refusals;
    mod balancer_rules;
    mod balancer_slow;
    mod balancer_streams;
    mod balancer_vanished;
    mod bed;
    mod conflict;
    mod credentials;
    mod families;
    mod kube_vip;
    mod proxy;
    mod refusals;
    mod scene;
    mod service_manager;
    mod signals;
    mod story;
    mod tampering;
    mod waiting;
}
