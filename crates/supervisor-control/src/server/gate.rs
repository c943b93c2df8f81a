//! Whether a request is answered: whose name it goes by, where it comes from, and what whoever sends it may do.
//!
//! A browser sends what any page tells it to: so a request that names another page as its origin is refused, and by TCP one
//! for a name that may be anybody's. What a page cannot make a browser send is the token.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Request, StatusCode, Uri};

use super::health;
use super::paced::Paced;
use super::peer::Access;
use super::problem::Problem;
use crate::Token;

/// So long the answer to a wrong token is held back. The connection ends with it.
pub(super) const HELD_BACK: Duration = Duration::from_millis(250);

/// What requests of a connection have to show.
#[derive(Clone)]
pub(super) enum Gate {
    /// Nothing more: the operating system has said who is there.
    Known(Access),
    /// This, each of them.
    Token(Rc<Lock>),
}

/// What the token opens.
pub(super) struct Lock {
    token: Token,
    /// How often another one was presented.
    wrong: Paced,
}

/// Why a request is refused.
pub(super) enum Refusal {
    /// For this.
    For(Problem),
    /// For a token that is not the right one: how often that was so, if it is to be told in the log.
    WrongToken(Option<u64>),
}

impl Lock {
    pub(super) fn new(token: Token) -> Self {
        Self { token, wrong: Paced::default() }
    }
}

impl Gate {
    /// What may be done by whoever sends a request with this head.
    ///
    /// # Errors
    /// The request is refused, whatever it is.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<Access, Refusal> {
        let host = self.host(request).map_err(Refusal::For)?;
        check_origin(request.headers(), host.as_ref()).map_err(Refusal::For)?;
        let access = match self {
            Self::Known(access) => *access,
            Self::Token(lock) => match presented(request.headers()) {
                Some(presented) if lock.token.is(presented) => Access::Owner,
                Some(_) => return Err(Refusal::WrongToken(lock.wrong.note())),
                None => Access::Stranger,
            },
        };
        let may = match access {
            Access::Stranger => health::is_for_strangers(request.uri().path()),
            Access::Reader => request.method().is_safe(),
            Access::Owner => true,
        };
        if may { Ok(access) } else { Err(Refusal::For(not_allowed(access))) }
    }

    /// By what name the server was called. By TCP it must be one that nobody else can give it.
    fn host<B>(&self, request: &Request<B>) -> Result<Option<Authority>, Problem> {
        let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = hosts.next().map(|host| Authority::try_from(host.as_bytes())).transpose();
        let host = host.map_err(|_| bad("cannot read the Host of the request"))?;
        if hosts.next().is_some() {
            return Err(bad("cannot take a request with two Hosts"));
        }
        // What stands in the request line counts for more.
        let host = request.uri().authority().cloned().or(host);
        match (self, &host) {
            (Self::Known(_), _) => Ok(host),
            (Self::Token(_), None) => Err(bad("cannot take a request without a Host")),
            (Self::Token(_), Some(name)) if is_ours(name.host()) => Ok(host),
            (Self::Token(_), Some(_)) => {
                let detail = "the Host of the request may be anybody's name; use localhost or the IP address";
                Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
            }
        }
    }
}

/// Whether this name cannot be made to mean another address than it says: a name service has no say in it.
fn is_ours(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// A page may ask the server that it has come from, and no other.
fn check_origin(headers: &HeaderMap, host: Option<&Authority>) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = Uri::try_from(origin.as_bytes()).ok();
    let page = origin.as_ref().and_then(Uri::authority);
    if page.is_some() && page == host {
        return Ok(());
    }
    let detail = "the request comes from a page of another server (Origin), which may not control this one";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

/// The token of a request, if it has one.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

fn not_allowed(access: Access) -> Problem {
    if access == Access::Stranger {
        return Problem::unauthorized("a token is needed: send the header `Authorization: Bearer TOKEN`");
    }
    let detail = "no permission: the group may only read; use root or the account that runs the supervisor";
    Problem::new(StatusCode::FORBIDDEN, detail)
}

impl Refusal {
    /// What is answered.
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Self::For(problem) => problem,
            Self::WrongToken(_) => Problem::unauthorized("the token is not the right one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/v1/status");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn status(gate: &Gate, headers: &[(&str, &str)]) -> u16 {
        match gate.admit(&request(headers)) {
            Ok(_) => 200,
            Err(refusal) => refusal.into_problem().status().as_u16(),
        }
    }

    #[test]
    fn by_tcp_only_an_address_or_localhost_is_a_host() {
        let token = Token::random().unwrap();
        let bearer = format!("bearer {}", token.as_str());
        let gate = Gate::Token(Rc::new(Lock::new(token)));
        let of = |host: &str| status(&gate, &[("host", host), ("authorization", &bearer)]);
        for ours in ["localhost", "LOCALHOST:9910", "127.0.0.1:9910", "[::1]:9910", "192.0.2.7", "[::1]"] {
            assert_eq!(of(ours), 200, "{ours}");
        }
        for others in ["evil.example", "localhost.evil.example:9910", "127.0.0.1.evil.example", "2130706433"]
        {
            assert_eq!(of(others), 421, "{others}");
        }
        for bad in ["", "a b", "127.0.0.1:9910:1"] {
            assert_eq!(of(bad), 400, "{bad:?}");
        }
        assert_eq!(status(&gate, &[("authorization", &bearer)]), 400);
        let two = [("host", "localhost"), ("host", "evil.example"), ("authorization", bearer.as_str())];
        assert_eq!(status(&gate, &two), 400);
        let mut absolute = request(&[("host", "localhost"), ("authorization", &bearer)]);
        *absolute.uri_mut() = "http://evil.example/v1/status".parse().unwrap();
        assert!(gate.admit(&absolute).is_err());
    }

    #[test]
    fn a_page_of_another_server_is_refused_on_the_socket_too() {
        let gate = Gate::Known(Access::Owner);
        let of = |origin: &str| status(&gate, &[("host", "localhost:9910"), ("origin", origin)]);
        assert_eq!(of("http://localhost:9910"), 200);
        for other in
            ["http://evil.example", "null", "http://localhost:9911", "http://localhost", "", "file://"]
        {
            assert_eq!(of(other), 403, "{other}");
        }
    }

    #[test]
    fn without_the_token_there_is_nothing_but_health() {
        let token = Token::random().unwrap();
        let right = format!("Bearer {}", token.as_str());
        let gate = Gate::Token(Rc::new(Lock::new(token)));
        let of = |headers: &[(&str, &str)]| status(&gate, &[&[("host", "localhost")], headers].concat());
        assert_eq!(of(&[("authorization", &right)]), 200);
        for wrong in
            ["Bearer", "Bearer ", "Basic dTpw", right.trim_end_matches(|digit| digit != ' '), "Bearer ä"]
        {
            assert_eq!(of(&[("authorization", wrong)]), 401, "{wrong}");
        }
        assert_eq!(of(&[]), 401);
        for (path, expected) in
            [("/livez", true), ("/readyz", true), ("/v1/status", false), ("/livez/..", false)]
        {
            let mut request = request(&[("host", "localhost")]);
            *request.uri_mut() = path.parse().unwrap();
            assert_eq!(gate.admit(&request).is_ok(), expected, "{path}");
        }
    }

    #[test]
    fn the_group_may_ask_and_change_nothing() {
        let gate = Gate::Known(Access::Reader);
        let of = |method: &str| {
            let request = Request::builder().method(method).uri("/v1/stop").body(()).unwrap();
            gate.admit(&request).is_ok()
        };
        assert_eq!(["GET", "HEAD", "POST", "PUT", "DELETE"].map(of), [true, true, false, false, false]);
    }
}
