//! What this process has and has used.

/// Memory, and time on processors.
pub(crate) struct Usage {
    /// Resident, in KiB.
    pub(crate) memory_kib: u64,
    /// User and system time, in seconds.
    pub(crate) cpu_s: f64,
}

impl Usage {
    /// As it is now.
    pub(crate) fn now() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        // Behind the program's name, which may contain blanks: user and system time are the 12th and 13th.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
        let memory_kib = memory.trim().trim_end_matches(" kB").parse()?;
        // Linux counts in hundredths of a second for everybody.
        Ok(Self { memory_kib, cpu_s: (ticks(11) + ticks(12)) / 100.0 })
    }
}
