//! The TCP connection under a call, for the one fault that needs it: a reset.
//!
//! Closing a socket whose linger time is zero sends RST instead of FIN.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};

/// A listener whose connections can be reset.
pub(super) struct Lines(pub(super) TcpListener);

/// A handle on the connection that a call came by; nothing if it could not be had.
#[derive(Debug, Clone)]
pub(super) struct Line(Option<Arc<OwnedFd>>);

impl Line {
    /// From here on, closing the connection resets it.
    pub(super) fn reset_on_close(&self) {
        if let Some(socket) = &self.0 {
            let at_once = Some(std::time::Duration::ZERO);
            if let Err(error) = rustix::net::sockopt::set_socket_linger(socket, at_once) {
                tracing::warn!(%error, "a connection can't be reset; it is closed");
            }
        }
    }
}

impl Listener for Lines {
    type Io = TcpStream;
    type Addr = Line;

    async fn accept(&mut self) -> (TcpStream, Line) {
        let (stream, _) = Listener::accept(&mut self.0).await;
        // Without it the kernel holds small answers back for tens of milliseconds.
        _ = stream.set_nodelay(true);
        let socket = stream.as_fd().try_clone_to_owned().ok();
        (stream, Line(socket.map(Arc::new)))
    }

    fn local_addr(&self) -> std::io::Result<Line> {
        Ok(Line(None))
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.remote_addr().clone()
    }
}
