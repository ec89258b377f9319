//! What a server says of itself, for people who look after it.

use std::collections::BTreeMap;

use super::Shared;
use crate::broker::Vitals;
use crate::connection::{Link, Server, command};
use crate::error::{Error, Result};

/// The fields of Redis's `INFO`: `redis_version`, `maxmemory_policy`, `aof_enabled` and the rest. One connection, closed afterwards.
pub async fn server_info(url: &str) -> Result<BTreeMap<String, String>> {
    let link = Link::new(&Server::parse(url, "url")?, None)?;
    let text: String = link.query("asking the server about itself", &command("INFO", &[])).await?;
    Ok(fields(&text))
}

impl Shared {
    pub(super) async fn vitals(&self) -> Result<Vitals> {
        let dead_letters = self.link.query("counting dead letters", &command("HLEN", &[&self.keys.dead])).await?;
        // A server may refuse to speak of itself; then there is nothing to tell.
        let info = match self.link.query::<String>("asking the server about itself", &command("INFO", &["memory"])).await {
            Err(Error::Refused { .. }) => String::new(),
            info => info?,
        };
        let info = fields(&info);
        let memory_bytes = info.get("used_memory").and_then(|bytes| bytes.parse().ok());
        let keeps_everything = info.get("maxmemory_policy").map(|policy| policy == "noeviction");
        Ok(Vitals { dead_letters, memory_bytes, keeps_everything })
    }
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    text.lines().filter(|line| !line.starts_with('#')).filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_the_lines_that_are_no_headings() {
        let info = fields("# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n");
        assert_eq!(info.len(), 2);
        assert_eq!(info["redis_version"], "7.0.15");
    }
}
