//! In the place of `session.rs`, in builds without the feature `runtime`: there are no sessions.

use std::path::Path;

use crate::{OnnxError, OnnxInput, OnnxOutput, Provider, TensorInfo};

pub(crate) enum Environment {}

impl Environment {
    pub(crate) fn load(_: &Path) -> Result<(Self, String), String> {
        Err(OnnxError::Absent.to_string())
    }
}

pub(crate) fn is_available(_: Provider) -> bool {
    false
}

#[allow(dead_code)] // Nothing reads what no session is opened with.
pub(crate) struct SessionOptions {
    pub(crate) threads: usize,
    pub(crate) provider: Provider,
    pub(crate) is_whole: bool,
}

pub(crate) enum Session {}

impl Session {
    pub(crate) fn open(environment: &Environment, _: &Path, _: &SessionOptions) -> Result<Self, OnnxError> {
        match *environment {}
    }

    pub(crate) fn inputs(&self) -> Vec<&str> {
        match *self {}
    }

    pub(crate) fn outputs(&self) -> Vec<&str> {
        match *self {}
    }

    pub(crate) fn input_tensors(&self) -> Vec<TensorInfo> {
        match *self {}
    }

    pub(crate) fn output_tensors(&self) -> Vec<TensorInfo> {
        match *self {}
    }

    pub(crate) fn note(&self, _: &str) -> Option<String> {
        match *self {}
    }

    pub(crate) fn run(&mut self, _: &[(&str, OnnxInput<'_>)]) -> Result<Vec<OnnxOutput>, String> {
        match *self {}
    }
}
