//! What is done with the bytes: the services that come with evenkeel.
//!
//! Each is written against [`crate::Service`] and [`crate::Io`] alone, as anybody's would be.

pub mod echo;
pub mod work;

pub use echo::Echo;
pub use work::Work;
