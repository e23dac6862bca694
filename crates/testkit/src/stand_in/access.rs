//! Who asks, and whether they may: the part of authentication and RBAC that pintle can meet.

use hyper::body::Incoming;
use hyper::{Request, header};

use super::behaviour::Auth;
use super::control::Settings;
use super::requests::Verb;
use super::resource::Target;
use super::status::ApiStatus;
use super::tls::Peer;

const ANONYMOUS: &str = "system:anonymous";
const TOKEN_USER: &str = "system:serviceaccount:kube-system:pintle";
const MASTERS: &str = "system:masters";

/// An authenticated client.
pub(super) struct User {
    pub(super) name: String,
    pub(super) is_master: bool,
    pub(super) is_anonymous: bool,
}

pub(super) fn authenticate(
    settings: &Settings,
    peer: &Peer,
    request: &Request<Incoming>,
) -> Result<User, ApiStatus> {
    if settings.auth == Auth::Unauthorised {
        return Err(ApiStatus::unauthorised());
    }
    let user = |name: &str, is_master, is_anonymous| User {
        name: name.to_owned(),
        is_master,
        is_anonymous,
    };
    if let Peer::Certified { user: name, groups } = peer {
        return Ok(user(name, groups.iter().any(|group| group == MASTERS), false));
    }
    let authorization = text_header(request, header::AUTHORIZATION);
    match authorization.strip_prefix("Bearer ") {
        Some(token) if Some(token) == settings.token.as_deref() => {
            Ok(user(TOKEN_USER, false, false))
        }
        Some(_) => Err(ApiStatus::unauthorised()),
        None if *peer == Peer::Anonymous => Ok(user(ANONYMOUS, false, true)),
        None => Err(ApiStatus::unauthorised()),
    }
}

pub(super) fn authorise(
    settings: &Settings,
    user: &User,
    verb: Verb,
    target: &Target,
    name: Option<&str>,
) -> Result<(), ApiStatus> {
    let allowed = !user.is_anonymous
        && match &settings.auth {
            Auth::Allow => true,
            Auth::MastersOnly => user.is_master,
            Auth::ForbiddenResources(plurals) => {
                !plurals.iter().any(|plural| plural == target.resource.plural())
            }
            Auth::Forbidden | Auth::Unauthorised => false,
        };
    if allowed {
        return Ok(());
    }
    Err(ApiStatus::forbidden(target, name, &user.name, verb.as_str()))
}

pub(super) fn text_header(request: &Request<Incoming>, name: header::HeaderName) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
