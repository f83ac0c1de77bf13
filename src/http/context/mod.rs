//! What a handler is given: the service, the session, the request and its body.

pub mod audit;
pub mod body;
pub mod lists;
pub mod once;
pub mod parameters;
pub mod password;
pub mod readiness;
pub mod reading;
pub mod regex;
pub mod request;
pub mod response;
pub mod sealing;
pub mod service;
pub mod session;
pub mod throttle;
