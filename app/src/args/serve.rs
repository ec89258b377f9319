//! `serve`.

use clap::Args;

/// How the HTTP service is started.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Where to listen
    #[arg(long)]
    host: Option<String>,
    /// On which port; 0: any that is free
    #[arg(long)]
    port: Option<u16>,
    /// Also run a worker for all queues in this process
    #[arg(long)]
    pub(crate) with_worker: bool,
    /// Change nothing: only what looks is answered
    #[arg(long)]
    read_only: bool,
    /// Listen beyond this machine without an API key
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Without the dashboard
    #[arg(long)]
    pub(crate) no_ui: bool,
}

impl ServeArgs {
    /// The flags as settings, by their names.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let host = self.host.clone().map(|host| ("celeriac.api.host".to_owned(), host));
        let port = self.port.map(|port| ("celeriac.api.port".to_owned(), port.to_string()));
        let read_only = self.read_only.then(|| ("celeriac.api.read_only".to_owned(), "true".to_owned()));
        host.into_iter().chain(port).chain(read_only).collect()
    }
}
