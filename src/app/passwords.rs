//! The passwords of network cameras: kept sealed in the store, looked up each time a camera is opened.
//!
//! So a password that is given anew holds without a restart, and none stays in memory beside the connection.
//! What a camera does with it is `crate::camera`'s.

use crate::camera::{Login, SourceError, SourceSpec};
use crate::face::CameraId;
use crate::store::{Store, StoreError};

/// The name under which the store keeps a camera's password.
fn secret_name(camera: &CameraId) -> String {
    format!("camera/{camera}")
}

/// Keeps a camera's password, in place of one that is there.
pub fn keep(store: &Store, camera: &CameraId, password: &str) -> Result<(), StoreError> {
    store.set_secret(&secret_name(camera), password)
}

/// Forgets a camera's password; `false` if there was none.
pub fn forget(store: &Store, camera: &CameraId) -> Result<bool, StoreError> {
    store.remove_secret(&secret_name(camera))
}

/// The description of a camera with its password in it, where it has a user. Without one it is as if the camera
/// had refused: a person must do something.
pub fn with_password(spec: &SourceSpec, camera: &CameraId, store: Option<&Store>) -> Result<SourceSpec, SourceError> {
    let mut spec = spec.clone();
    let (SourceSpec::Mjpeg(network) | SourceSpec::Rtsp(network)) = &mut spec else { return Ok(spec) };
    let Some(Login { user, password }) = &mut network.login else { return Ok(spec) };
    let kept = match store {
        Some(store) => store.secret(&secret_name(camera)).map_err(|error| SourceError::refused(error.to_string()))?,
        None => None,
    };
    *password = kept.ok_or_else(|| {
        SourceError::refused(format!(
            "no password is kept for the user \"{user}\"; give it with `snova cameras password {camera}`"
        ))
    })?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::NetworkConfig;
    use crate::store::StoreConfig;
    use crate::vault::Seal;

    #[test]
    fn a_password_given_anew_holds_at_the_next_opening() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::new(dir.path()), Seal::plain()).unwrap();
        let camera = CameraId::new("till-1-left");
        let login = Some(Login { user: "snova".into(), password: String::new() });
        let spec = SourceSpec::Rtsp(NetworkConfig { url: "rtsp://10.0.0.9/".into(), login });
        let password = || match with_password(&spec, &camera, Some(&store)) {
            Ok(SourceSpec::Rtsp(NetworkConfig { login: Some(login), .. })) => Ok(login.password),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        let refused = password().unwrap_err();
        assert!(refused.is_refused() && refused.to_string().contains("snova cameras password till-1-left"));
        for given in ["first", "second"] {
            keep(&store, &camera, given).unwrap();
            assert_eq!(password().unwrap(), given);
        }
        assert!(forget(&store, &camera).unwrap() && !forget(&store, &camera).unwrap());
        assert!(password().is_err());
    }

    #[test]
    fn a_camera_without_a_user_needs_no_store() {
        let spec = SourceSpec::Mjpeg(NetworkConfig { url: "http://10.0.0.9/".into(), login: None });
        assert_eq!(with_password(&spec, &CameraId::new("c"), None).unwrap(), spec);
    }
}
