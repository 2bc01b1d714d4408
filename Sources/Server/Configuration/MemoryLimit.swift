// SPDX-License-Identifier: Apache-2.0
// How much memory the process may take.

import FoundationEssentials
import Glibc

/// Bytes the cgroup allows, or the machine has.
package func availableMemoryBytes() -> Int {
    let machine = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
    for path in ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"] {
        guard let data = FileManager.default.contents(atPath: path) else { continue }
        let text = trimmed(String(decoding: data, as: UTF8.self).filter { !$0.isNewline })
        if let limit = Int(text), limit > 0, limit < machine { return limit }
    }
    return machine
}

/// Resident bytes of this process, from the kernel.
package func residentBytes() -> Int {
    guard let data = FileManager.default.contents(atPath: "/proc/self/statm") else { return 0 }
    let fields = String(decoding: data, as: UTF8.self).split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
    return pages * sysconf(Int32(_SC_PAGESIZE))
}

/// CPU seconds of this process, user and system.
package func cpuSeconds() -> Double {
    var usage = rusage()
    guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
