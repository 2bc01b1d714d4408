// SPDX-License-Identifier: Apache-2.0
// What the kernel says about this process.

import Base
import FoundationEssentials
import Glibc

/// The `process_…` families under the names that all Prometheus clients use.
enum ProcessMetrics {
    static func collect(into metrics: SelfMetrics) {
        metrics.show(
            "process_cpu_seconds_total", .counter,
            "Total user and system CPU time spent in seconds.", cpuSeconds())
        metrics.show(
            "process_resident_memory_bytes", .gauge, "Resident memory size in bytes.",
            Double(residentBytes()))
        if let fields = statFields() {
            if let bytes = fields.number(20) {
                metrics.show(
                    "process_virtual_memory_bytes", .gauge, "Virtual memory size in bytes.", bytes)
            }
            if let threads = fields.number(17) {
                metrics.show("process_threads", .gauge, "Number of OS threads.", threads)
            }
            if let ticks = fields.number(19), let boot = bootSeconds() {
                metrics.show(
                    "process_start_time_seconds", .gauge,
                    "Start time of the process since unix epoch in seconds.",
                    boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK))))
            }
        }
        if let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            metrics.show(
                "process_open_fds", .gauge, "Number of open file descriptors.",
                Double(open.count))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            metrics.show(
                "process_max_fds", .gauge, "Maximum number of open file descriptors.",
                Double(limit.rlim_cur))
        }
    }

    /// Fields of `/proc/self/stat` after the command, which may hold blanks: 0 is the state.
    private static func statFields() -> [Substring]? {
        guard let text = text(of: "/proc/self/stat"), let end = text.lastIndex(of: ")") else {
            return nil
        }
        return text[text.index(after: end)...].split(separator: " ")
    }

    /// When the machine started, in seconds since the epoch.
    private static func bootSeconds() -> Double? {
        let line = text(of: "/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Double($0.dropFirst("btime ".count)) }
    }

    private static func text(of path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension [Substring] {
    fileprivate func number(_ index: Int) -> Double? {
        index < count ? Double(self[index]) : nil
    }
}
