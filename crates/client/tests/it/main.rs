//! The client against services in this process and against files in a temporary directory.

mod kubeconfig;
mod reflect;
mod typed;
mod widget;
