//! What this installation is called by other machines: an id made from the machine and the data folder, the same after each
//! restart and different on each machine, so that two programs at one broker never use one client id, topic or Home Assistant
//! sensor by accident.

use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Where a Linux system keeps its id (machine-id(5)), and a board its serial number: cards are copied, boards are not.
const MACHINE_IDS: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
const BOARD_SERIAL: &str = "/sys/firmware/devicetree/base/serial-number";
/// An id is at most this long.
const MAX_ID_BYTES: u64 = 256;
/// Programs that may use the same client id in turn.
const MAX_CLAIMS: usize = 64;

/// This machine with this data folder.
#[derive(Clone, Debug)]
pub struct Installation {
    seed: String,
}

impl Installation {
    /// The one whose data is in `data`.
    pub fn of(data: &Path) -> Installation {
        // Its path is another one while it does not exist, if there are links in it.
        let _ = std::fs::create_dir_all(data);
        // In a container there may be no id: then the data folder holds one.
        let machine = MACHINE_IDS.iter().find_map(|path| small_text(Path::new(path))).unwrap_or_else(|| own_id(data));
        Self::from_parts(&[machine, small_text(Path::new(BOARD_SERIAL)).unwrap_or_default()], data)
    }

    fn from_parts(ids: &[String], data: &Path) -> Installation {
        let data =
            std::fs::canonicalize(data).or_else(|_| std::path::absolute(data)).unwrap_or_else(|_| data.to_owned());
        Installation { seed: hash(&[&ids.join("\n"), &data.to_string_lossy()]) }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.seed
    }

    /// An id for one flow of it, told apart by `parts`.
    pub fn id_for(&self, parts: &[&str]) -> String {
        hash(&[&[self.seed.as_str()], parts].concat())
    }

    /// What it is called for people.
    pub fn device(&self) -> String {
        match small_text(Path::new("/proc/sys/kernel/hostname")) {
            Some(host) => format!("Nearfield ({host})"),
            None => "Nearfield".to_owned(),
        }
    }
}

/// A client id that no other program of this machine uses, as long as this value lives.
pub struct ClientId {
    /// The id.
    pub id: String,
    _claim: Option<File>,
}

impl ClientId {
    /// One that the configuration names.
    pub fn fixed(id: &str) -> ClientId {
        ClientId { id: id.to_owned(), _claim: None }
    }

    /// `id`, or with a number behind it if another program has that. A folder that can't be written to is no reason to stop.
    pub fn claim(id: &str, data: &Path) -> ClientId {
        let folder = data.join("clients");
        let made = std::fs::create_dir_all(&folder);
        for n in 1..=MAX_CLAIMS {
            let id = if n == 1 { id.to_owned() } else { format!("{id}-{n}") };
            if let Err(error) = &made {
                tracing::debug!(%error, "no client id can be claimed");
                return ClientId { id, _claim: None };
            }
            let Ok(claim) = File::create(folder.join(format!("{id}.lock"))) else {
                return ClientId { id, _claim: None };
            };
            match claim.try_lock() {
                Ok(()) => return ClientId { id, _claim: Some(claim) },
                Err(std::fs::TryLockError::WouldBlock) => {}
                Err(std::fs::TryLockError::Error(_)) => return ClientId { id, _claim: None },
            }
        }
        ClientId { id: format!("{id}-{}", std::process::id()), _claim: None }
    }
}

/// The id in the data folder, made at the first call. Where it can't be kept it is another one each time, which is unique at least.
fn own_id(data: &Path) -> String {
    let path = data.join("installation-id");
    if let Some(id) = small_text(&path) {
        return id;
    }
    let mut bytes = [0; 16];
    let random = File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    if random.is_err() {
        bytes = (u128::from(std::process::id()) << 64 | std::time::UNIX_EPOCH.elapsed().map_or(0, |t| t.as_nanos()))
            .to_le_bytes();
    }
    let id: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(data)?;
        let mut file = tempfile::NamedTempFile::new_in(data)?;
        std::io::Write::write_all(&mut file, id.as_bytes())?;
        file.as_file().sync_all()?;
        // Another program may have been quicker; its id counts.
        file.persist_noclobber(&path)?;
        Ok(())
    };
    if let Err(error) = write() {
        tracing::debug!(%error, "the installation's id can't be kept");
    }
    small_text(&path).unwrap_or(id)
}

fn small_text(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_ID_BYTES).read_to_string(&mut text).ok()?;
    let text = text.trim_matches(['\0', '\n', ' ']).to_owned();
    (!text.is_empty() && text != "uninitialized").then_some(text)
}

/// Twelve hexadecimal digits: what a machine is called here tells nobody its id (machine-id(5) asks for that).
fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update("nearfield installation");
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(6).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_has_the_same_id_after_a_restart_and_another_on_each_machine_and_in_each_data_folder() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of = |machine: &str, data: &Path| Installation::from_parts(&[machine.to_owned()], data);
        let here = of("machine a", one.path());
        assert_eq!(here.id(), of("machine a", one.path()).id());
        assert_ne!(here.id(), of("machine b", one.path()).id());
        assert_ne!(here.id(), of("machine a", two.path()).id());
        assert_ne!(here.id_for(&["report", "x"]), here.id_for(&["reportx"]));
        assert_eq!(here.id().len(), 12);
        assert!(!here.id().contains("machine"));
    }

    #[test]
    fn where_the_machine_has_no_id_the_data_folder_keeps_one() {
        let folder = tempfile::tempdir().unwrap();
        let id = own_id(&folder.path().join("new"));
        assert_eq!((id.len(), &id), (32, &own_id(&folder.path().join("new"))));
        assert_ne!(id, own_id(&folder.path().join("other")));
    }

    #[test]
    fn two_programs_on_one_machine_have_two_client_ids() {
        let folder = tempfile::tempdir().unwrap();
        let first = ClientId::claim("nearfield-report-1", folder.path());
        let second = ClientId::claim("nearfield-report-1", folder.path());
        assert_eq!((first.id.as_str(), second.id.as_str()), ("nearfield-report-1", "nearfield-report-1-2"));
        drop(first);
        assert_eq!(ClientId::claim("nearfield-report-1", folder.path()).id, "nearfield-report-1");
    }
}
