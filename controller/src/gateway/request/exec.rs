//! The bodies of exec: what is to be run, and how its stream is to be.

use bollard::models::ExecConfig;

use super::fields::Fields;
use super::{ExecStart, Size};
use crate::gateway::refusal::Refusal;

/// The body of `POST /containers/{id}/exec`.
pub(super) fn create(json: &[u8]) -> Result<ExecConfig, Refusal> {
    let mut body = Fields::of_body(json)?;
    body.nothing("Privileged", "run it without --privileged")?;
    // Clients repeat here what the path and the start say.
    body.flag("Detach")?;
    body.text("Container")?;
    let config = ExecConfig {
        attach_stdin: body.flag("AttachStdin")?,
        attach_stdout: body.flag("AttachStdout")?,
        attach_stderr: body.flag("AttachStderr")?,
        console_size: body.pair("ConsoleSize")?.map(|pair| pair.map(usize::from).into()),
        detach_keys: keys(&mut body)?,
        tty: body.flag("Tty")?,
        env: body.texts("Env")?,
        cmd: body.texts("Cmd")?,
        privileged: None,
        user: body.text("User")?,
        working_dir: body.text("WorkingDir")?,
    };
    body.done()?;
    if config.cmd.as_ref().is_none_or(Vec::is_empty) {
        return Err(Refusal::bad("Cmd is missing: name the command to run"));
    }
    Ok(config)
}

/// The body of `POST /exec/{id}/start`.
pub(super) fn start(json: &[u8]) -> Result<ExecStart, Refusal> {
    let mut body = Fields::of_body(json)?;
    let start = ExecStart {
        detach: body.flag("Detach")?.unwrap_or(false),
        tty: body.flag("Tty")?.unwrap_or(false),
        console_size: body.pair("ConsoleSize")?.map(|[height, width]| Size { height, width }),
    };
    body.done()?;
    Ok(start)
}

fn keys(body: &mut Fields) -> Result<Option<String>, Refusal> {
    match body.text("DetachKeys")? {
        Some(keys) if keys.len() > 64 || !keys.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Refusal::bad("DetachKeys must be keys such as ctrl-p,ctrl-q"))
        }
        keys => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privileged_exec_is_told_what_to_do() {
        let refusal = create(br#"{"Cmd":["id"],"Privileged":true}"#).unwrap_err();
        assert_eq!(refusal.reason, "Privileged is not possible through this gateway: run it without --privileged");
    }

    #[test]
    fn what_is_not_an_exec_is_refused() {
        for body in [
            "",
            "{}",
            r#"{"Cmd":[]}"#,
            r#"{"Cmd":"id"}"#,
            r#"{"Cmd":["id"],"cmd":["sh"]}"#,
            r#"{"Cmd":["id"],"Cmd":["sh"]}"#,
            r#"{"Cmd":["id"],"privileged":true}"#,
            r#"{"Cmd":["id"],"X":null}"#,
            r#"{"Cmd":["a\u0000b"]}"#,
            r#"["id"]"#,
            r#"{"Cmd":["id"],"Tty":"true"}"#,
            r#"{"Cmd":["id"],"ConsoleSize":[1]}"#,
            r#"{"Cmd":["id"],"ConsoleSize":[1,70000]}"#,
            r#"{"Cmd":["id"],"Privileged":1}"#,
            r#"{"Cmd":["id"],"Privileged":"false"}"#,
            r#"{"Cmd":[null]}"#,
        ] {
            assert!(create(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_start_says_how_its_stream_is_to_be() {
        assert_eq!(start(b""), Ok(ExecStart::default()));
        let size = Some(Size { height: 40, width: 100 });
        let body = br#"{"Detach":false,"Tty":true,"ConsoleSize":[40,100]}"#;
        assert_eq!(start(body), Ok(ExecStart { detach: false, tty: true, console_size: size }));
        assert!(start(br#"{"Detach":false,"Cmd":["id"]}"#).is_err());
    }
}
