//! What a test can tell a stand-in to do wrong. Values only: nothing here acts.

use std::time::Duration;

/// What `/readyz` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Readyz {
    /// 200 `ok`.
    #[default]
    Ok,
    /// 500 with `[-]shutdown`, as while draining.
    Shutdown,
    /// 500 with these checks failed.
    Failing(Vec<String>),
    /// No answer.
    Hang,
}

/// How requests of one kind (reads, writes) are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// As kube-apiserver does.
    #[default]
    Normal,
    /// After this long: neither applied nor answered before.
    Delay(Duration),
    /// Applied at once, answered after this long.
    DelayAnswer(Duration),
    /// Neither applied nor answered, ever.
    Hang,
    /// Not applied, answered with this HTTP status.
    Status(u16),
    /// Applied, never answered.
    DropAnswer,
}

/// How watches behave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WatchBehaviour {
    /// As kube-apiserver's.
    #[default]
    Normal,
    /// Open but silent; what happened meanwhile comes after the thaw, unless it was too much.
    Frozen,
    /// Every event comes this much late.
    Delay(Duration),
    /// New watches are answered with this HTTP status; open ones go on.
    Status(u16),
}

/// Who is let in. `/livez`, `/readyz` and `/version` are open to everyone but an unauthorised
/// client, as kubeadm's default has it (`system:public-info-viewer`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Every client with a certificate of the client CA, or the token.
    #[default]
    Allow,
    /// Only the group `system:masters`; others get 403. So is a cluster while `kubeadm init` has
    /// not bound the group of `admin.conf` yet.
    MastersOnly,
    /// These resources (plural names) are forbidden to all, others allowed.
    ForbiddenResources(Vec<String>),
    /// 403 on every resource.
    Forbidden,
    /// 401 on everything.
    Unauthorised,
}
