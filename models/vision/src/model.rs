//! A vision model: a picture in, a [`VisionResult`] out. Without a model a picture is only compared with others.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::descriptor::light_and_edges;
use super::manifest::VisionManifest;
use super::onnx_model::ManifestModel;
use super::picture::Picture;
use super::result::VisionResult;

/// Why a vision model can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VisionError {
    /// The ONNX file, the runtime or a run.
    #[error(transparent)]
    Onnx(#[from] nearfield_onnx::OnnxError),
    /// The manifest contradicts itself or the model.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The model.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// There is no manifest, and the file alone does not say all that it would.
    #[error("{} needs a manifest: {reason}{}", path.display(), if manifest.is_some() { MANIFEST_FOLLOWS } else { "" })]
    Unrecognized {
        /// The model.
        path: PathBuf,
        /// What could not be told.
        reason: String,
        /// The manifest as far as it could be.
        manifest: Option<String>,
    },
    /// A file that lies beside the model.
    #[error("{}: {reason}", path.display())]
    Beside {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file of labels.
    #[error("the labels {} can't be used: {reason}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// How an error goes on that has a manifest to offer.
const MANIFEST_FOLLOWS: &str = ". This one fits as far as it could be told; correct it and keep it beside the model, with its \
     name and the ending .toml";

/// A vision model, loaded and ready.
pub struct VisionModel {
    kind: Kind,
}

enum Kind {
    Descriptor,
    Model(Box<ManifestModel>),
}

impl VisionModel {
    /// No model: pictures are only compared, by a descriptor of luminance and edges.
    pub fn none() -> Self {
        Self { kind: Kind::Descriptor }
    }

    /// Opens a model. Files that the manifest names are searched in `folder`, then beside the model.
    ///
    /// # Errors
    /// The model, its labels or its manifest can't be used, or do not fit together.
    pub fn open(
        path: &std::path::Path,
        manifest: VisionManifest,
        folder: &std::path::Path,
        options: &nearfield_onnx::OnnxOptions,
    ) -> Result<Self, VisionError> {
        Ok(Self { kind: Kind::Model(Box::new(ManifestModel::open(path, manifest, folder, options)?)) })
    }

    /// Opens a model that has no manifest: what it takes and gives is told from the file, and from those that lie beside it.
    ///
    /// # Errors
    /// [`VisionError::Unrecognized`] where that is not certain; and as [`open`](Self::open).
    pub fn recognize(
        path: &std::path::Path,
        beside: &super::Beside,
        options: &nearfield_onnx::OnnxOptions,
    ) -> Result<Self, VisionError> {
        let mut onnx = nearfield_onnx::OnnxModel::open(path, options)?;
        let manifest = super::recognize::recognize(&mut onnx, beside)?;
        let folder = path.parent().unwrap_or(std::path::Path::new(""));
        Ok(Self { kind: Kind::Model(Box::new(ManifestModel::of(onnx, manifest, folder)?)) })
    }

    /// The manifest in force; `None` without a model.
    pub fn manifest(&self) -> Option<&VisionManifest> {
        match &self.kind {
            Kind::Descriptor => None,
            Kind::Model(model) => Some(&model.manifest),
        }
    }

    /// What computes it; `None` without a model.
    pub fn provider(&self) -> Option<nearfield_onnx::Provider> {
        match &self.kind {
            Kind::Descriptor => None,
            Kind::Model(model) => Some(model.provider()),
        }
    }

    /// Whether nothing that it finds has a name: then all there is to say of a picture is how much it resembles another.
    pub fn only_compares(&self) -> bool {
        match &self.kind {
            Kind::Descriptor => true,
            Kind::Model(model) => {
                model.manifest.encoder.as_ref().is_some_and(|e| e.soft_tokens.is_none() && e.slots.is_none())
            }
        }
    }

    /// Runs the model on a picture.
    ///
    /// # Errors
    /// If the model fails.
    pub fn look(&mut self, picture: &Picture) -> Result<VisionResult, VisionError> {
        match &mut self.kind {
            Kind::Descriptor => {
                Ok(VisionResult { embedding: light_and_edges(picture), confidence: 1.0, ..VisionResult::default() })
            }
            Kind::Model(model) => model.look(picture),
        }
    }

    /// Whether the model makes soft tokens of its own.
    pub fn has_soft_tokens(&self) -> bool {
        match &self.kind {
            Kind::Descriptor => false,
            Kind::Model(model) => model.manifest.encoder.as_ref().is_some_and(|e| e.soft_tokens.is_some()),
        }
    }

    /// The labels that objects may get; empty where the model finds none.
    pub fn object_labels(&self) -> BTreeSet<&str> {
        match &self.kind {
            Kind::Descriptor => BTreeSet::new(),
            Kind::Model(model) => model.object_labels(),
        }
    }

    /// The words of the soft tokens, where the model is an encoder whose outputs are words.
    pub fn words(&self) -> &[String] {
        match &self.kind {
            Kind::Descriptor => &[],
            Kind::Model(model) => model.manifest.encoder.as_ref().map_or(&[], |e| &e.words),
        }
    }
}
