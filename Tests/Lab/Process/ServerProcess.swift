// SPDX-License-Identifier: Apache-2.0
// A server that the laboratory starts, watches and ends.

import Base
import FoundationEssentials
import Glibc
import Synchronization

/// A child process with its output in a file. Ended by its id only.
final class ServerProcess: Sendable {
    let pid: Int32
    let logPath: String
    let startedNanos: Int64
    private struct Ending {
        var status: Int32
        var cpuSeconds: Double
    }
    private let ending = Mutex<Ending?>(nil)

    /// Starts a program in a process group of its own, so that an interrupt of the terminal reaches
    /// the laboratory first.
    init(_ binary: String, _ arguments: [String], logPath: String) throws {
        self.logPath = logPath
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(
            &actions, 1, logPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        var words: [UnsafeMutablePointer<CChar>?] = ([binary] + arguments).map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        startedNanos = SystemClock().monotonicNanos
        var child: pid_t = 0
        let code = posix_spawnp(&child, binary, &actions, &attributes, words, environ)
        guard code == 0 else {
            throw LabError("cannot start \(binary): \(String(cString: strerror(code)))")
        }
        pid = child
        Cleanup.shared.add(pid: child)
    }

    var log: String {
        String(decoding: FileManager.default.contents(atPath: logPath) ?? Data(), as: UTF8.self)
    }

    /// Nil while it runs; else what the kernel reported.
    func status() -> Int32? {
        ending.withLock { known in
            if let known { return known.status }
            var status: Int32 = 0
            var usage = rusage()
            guard wait4(pid, &status, WNOHANG, &usage) == pid else { return nil }
            known = Ending(status: status, cpuSeconds: ProcessUsage.cpuSeconds(usage))
            Cleanup.shared.remove(pid: pid)
            return status
        }
    }

    /// All it used from start to end; nil while it runs.
    var totalCPUSeconds: Double? { ending.withLock { $0?.cpuSeconds } }

    func signal(_ number: Int32) { if status() == nil { kill(pid, number) } }

    /// Waits for its end.
    ///
    /// - Throws: when it takes longer; it is killed then.
    @discardableResult
    func wait(seconds: Double) async throws -> Int32 {
        let clock = SystemClock()
        let deadline = clock.monotonicNanos + Int64(seconds * 1e9)
        while clock.monotonicNanos < deadline {
            if let status = status() { return status }
            try await clock.sleep(seconds: 0.002)
        }
        signal(SIGKILL)
        throw LabError("process \(pid) did not end within \(seconds) s")
    }

    /// Ends it as an operator would.
    func stop(seconds: Double = 60) async throws {
        signal(SIGTERM)
        try await wait(seconds: seconds)
    }

    var usage: ProcessUsage? { ProcessUsage(pid: pid) }

    /// See `ProcessUsage.resetPeak`.
    func resetPeak() { ProcessUsage.resetPeak(pid: pid) }
}

/// A running Tern on a free port.
struct TernProcess: Sendable {
    let process: ServerProcess
    let client: LabClient
    /// From its start to the first 200 of `/-/ready`.
    let readySeconds: Double

    /// Starts a server and waits until it is ready. It scrapes nothing: what it stores is what it
    /// is sent.
    ///
    /// - Parameter settings: of the configuration file, beside `scrape_configs`.
    static func start(
        binary: String, data: String, log: String, flags: [String], settings: String = ""
    ) async throws -> TernProcess {
        let configuration = log + ".yml"
        try Data("scrape_configs: []\n\(settings)".utf8).write(to: URL(filePath: configuration))
        let process = try ServerProcess(
            binary,
            [
                "serve", "--config.file", configuration, "--storage.path", data,
                "--web.listen-address", "127.0.0.1:0",
                "--otlp.http-listen-address", "off", "--otlp.grpc-listen-address", "off",
            ] + flags, logPath: log)
        let clock = SystemClock()
        let deadline = process.startedNanos + 120_000_000_000
        while clock.monotonicNanos < deadline {
            if process.status() != nil { break }
            if let url = address(in: process.log) {
                let client = LabClient(url: url)
                if try await client.get("/-/ready").status == 200 {
                    return TernProcess(
                        process: process, client: client,
                        readySeconds: Double(clock.monotonicNanos - process.startedNanos) / 1e9)
                }
            }
            try await clock.sleep(seconds: 0.002)
        }
        process.signal(SIGKILL)
        throw LabError("the server did not become ready; its log:\n\(process.log.suffix(2000))")
    }

    private static func address(in log: String) -> String? {
        for line in log.split(separator: "\n") where line.contains("msg=listening") {
            for word in line.split(separator: " ") where word.hasPrefix("address=") {
                return "http://" + word.dropFirst("address=".count)
            }
        }
        return nil
    }
}
