//! What the tests are written with, beside the crate `testkit`: a namespace to work in, the
//! operator as a process, and the API server's own record of requests.

pub(crate) mod audit;
pub(crate) mod cluster;
pub(crate) mod holder;
pub(crate) mod operator;
pub(crate) mod wait;
pub(crate) mod world;

pub(crate) use operator::Operator;
pub(crate) use wait::eventually;
pub(crate) use world::World;
