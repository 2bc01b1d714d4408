// SPDX-License-Identifier: Apache-2.0
// What a process has used, as the kernel counts it.

import Base
import FoundationEssentials
import Glibc

/// CPU and memory of a process.
struct ProcessUsage: Sendable {
    /// User and system time since its start.
    var cpuSeconds = 0.0
    /// Highest resident set so far.
    var peakBytes = 0
    var residentBytes = 0

    /// Reads `/proc` of a running process; nil when there is none.
    init?(pid: Int32) {
        guard let stat = Self.text("/proc/\(pid)/stat"),
            let status = Self.text("/proc/\(pid)/status"),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        // Fields after the command's name, which may hold anything; utime and stime are 14 and 15.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12])
        else { return nil }
        cpuSeconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
        peakBytes = Self.kilobytes("VmHWM:", status)
        residentBytes = Self.kilobytes("VmRSS:", status)
    }

    /// Makes the peak begin anew at what is resident now. Source: Linux `proc(5)`, clear_refs.
    ///
    /// - Returns: whether the kernel did.
    @discardableResult
    static func resetPeak(pid: Int32) -> Bool {
        guard let file = fopen("/proc/\(pid)/clear_refs", "w") else { return false }
        defer { fclose(file) }
        return fputs("5", file) >= 0
    }

    private static func text(_ path: String) -> String? {
        // Files of /proc have no size, so they are read until they end.
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let n = fread(&buffer, 1, buffer.count, file)
            if n == 0 { break }
            bytes += buffer[..<n]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func kilobytes(_ name: String, _ status: String) -> Int {
        for line in status.split(separator: "\n") where line.hasPrefix(name) {
            return (Int(line.split(separator: " ").dropFirst().first ?? "") ?? 0) * 1024
        }
        return 0
    }

    /// CPU seconds of this process.
    static var ownCPUSeconds: Double {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return cpuSeconds(usage)
    }

    static func cpuSeconds(_ usage: rusage) -> Double {
        func seconds(_ time: timeval) -> Double {
            Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

/// Bytes of all files below a directory.
func directoryBytes(_ path: String) throws -> Int {
    let manager = FileManager.default
    var sum = 0
    for name in try manager.subpathsOfDirectory(atPath: path) {
        var status = stat()
        // A file may vanish between being listed and being asked for.
        if lstat(path + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
            sum += Int(status.st_size)
        }
    }
    return sum
}
