//! What is done with the bytes: the services that come with evenkeel.
//!
//! [`Echo`] is written against [`crate::Service`] and [`crate::Io`] alone, as anybody's would be; [`Work`] is what it
//! does with its time.

pub mod echo;
pub mod proxy;
pub mod several;
pub mod spec;
pub mod work;

pub use echo::Echo;
pub use proxy::Proxy;
pub use spec::{EchoOptions, Kind, Spec};
pub use work::Work;
