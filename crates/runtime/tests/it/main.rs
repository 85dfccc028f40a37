//! Listeners and TLS over real sockets.

mod listen;
