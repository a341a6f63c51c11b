//! The folders that models, their list and Nearfield's own data lie in, from the environment.

use std::env;
use std::path::PathBuf;

use crate::hub::cache::HubCache;
use crate::hub::models_lock::ModelsLock;

/// The folders that the registry looks into.
#[derive(Clone, Debug)]
pub struct Places {
    /// The `assets` folder of Nearfield's clone, if it was found.
    pub assets: Option<PathBuf>,
    /// The Hugging Face cache.
    pub cache: HubCache,
    /// Nearfield's own data: `models.lock`, and the libraries that set-up fetches.
    pub data: PathBuf,
}

impl Places {
    /// From the environment. Assets: `NEARFIELD_ASSETS`, else the `assets` folder of the clone that the program, else the
    /// current folder, lies in. Cache: `HF_HUB_CACHE`, else `$HF_HOME/hub`, else
    /// `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`. Data: see
    /// [`data_folder`].
    pub fn from_env() -> Self {
        let cache = var("HF_HUB_CACHE").unwrap_or_else(|| {
            let home = var("HF_HOME");
            home.unwrap_or_else(|| {
                var("XDG_CACHE_HOME").unwrap_or_else(|| home_folder().join(".cache")).join("huggingface")
            })
            .join("hub")
        });
        Self { assets: assets_folder(), cache: HubCache::new(cache), data: data_folder() }
    }

    /// The lock of pulled files.
    pub fn lock(&self) -> ModelsLock {
        ModelsLock::in_data_folder(&self.data)
    }
}

/// Nearfield's own data folder: `NEARFIELD_DATA`, else `$XDG_DATA_HOME/nearfield`, else `~/.local/share/nearfield`. It need not
/// exist.
pub fn data_folder() -> PathBuf {
    var("NEARFIELD_DATA")
        .unwrap_or_else(|| var("XDG_DATA_HOME").unwrap_or_else(|| home_folder().join(".local/share")).join("nearfield"))
}

fn assets_folder() -> Option<PathBuf> {
    if let Some(named) = var("NEARFIELD_ASSETS") {
        return Some(named);
    }
    let starts = [env::current_exe().ok(), env::current_dir().ok()];
    let above = starts.iter().flatten().flat_map(|start| start.ancestors());
    let mut assets = above.map(|folder| folder.join("assets"));
    assets.find(|assets| assets.join("models/models.toml").is_file())
}

fn home_folder() -> PathBuf {
    // A service without a home (systemd's DynamicUser) has its state here.
    env::home_dir().filter(|home| home.is_absolute()).unwrap_or_else(|| PathBuf::from("/var/lib/nearfield"))
}

fn var(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
