// SPDX-License-Identifier: Apache-2.0
// Servers that take the same remote write requests.

import ArgumentParser
import Base
import FoundationEssentials
import Glibc

/// A server that takes remote write or, by name, lines or spans.
enum Peer: Sendable {
    case prometheus(String)
    case victoria(String)
    case victoriaLogs(String)
    case victoriaTraces(String)
    case tern(String)

    var name: String {
        switch self {
        case .prometheus: "Prometheus"
        case .victoria: "VictoriaMetrics"
        case .victoriaLogs: "VictoriaLogs"
        case .victoriaTraces: "VictoriaTraces"
        case .tern: "Tern"
        }
    }

    var binary: String {
        switch self {
        case .prometheus(let path), .victoria(let path), .victoriaLogs(let path),
            .victoriaTraces(let path), .tern(let path):
            path
        }
    }

    func arguments(data: String, port: Int, configuration: String) -> [String] {
        switch self {
        case .prometheus:
            [
                "--config.file=\(configuration)", "--storage.tsdb.path=\(data)",
                "--web.listen-address=127.0.0.1:\(port)", "--web.enable-remote-write-receiver",
                "--web.enable-admin-api", "--log.level=warn",
            ]
        case .victoria:
            [
                "-storageDataPath=\(data)", "-httpListenAddr=127.0.0.1:\(port)",
                "-retentionPeriod=10y", "-search.latencyOffset=0s", "-loggerLevel=WARN",
            ]
        case .victoriaLogs:
            [
                "-storageDataPath=\(data)", "-httpListenAddr=127.0.0.1:\(port)",
                "-retentionPeriod=10y", "-loggerLevel=WARN",
                // A line stays the text it is, as Loki and Tern keep it.
                "-loki.disableMessageParsing",
            ]
        case .victoriaTraces:
            [
                "-storageDataPath=\(data)", "-httpListenAddr=127.0.0.1:\(port)",
                "-retentionPeriod=10y", "-loggerLevel=WARN",
            ]
        case .tern:
            [
                "serve", "--storage.path", data, "--web.listen-address", "127.0.0.1:\(port)",
                "--otlp.http-listen-address", "off", "--otlp.grpc-listen-address", "off",
                "--storage.seal-age", "15s",
            ]
        }
    }

    var readyPath: String {
        switch self {
        case .prometheus, .tern: "/-/ready"
        case .victoria, .victoriaLogs, .victoriaTraces: "/health"
        }
    }
}

/// What every command says that measures Tern beside its peers.
struct PeerOptions: ParsableArguments {
    @Option(help: "The server's binary (the one built beside this).")
    var binary = Binaries.tern
    @Option(help: "Prometheus' binary; skipped when there is none.")
    var prometheus = "prometheus"
    @Option(help: "VictoriaMetrics' binary; skipped when there is none.")
    var victoria = "victoria-metrics"
    @Option(help: "Seed of the data.")
    var seed: UInt64 = 1
    @Option(help: "Requests at once while loading.")
    var concurrency = 4
    @Option(help: "Where data directories are made (the system's temporary directory).")
    var directory: String?
    @Flag(help: "Keep the data directories and logs.")
    var keep = false

    var peers: [Peer] { [.tern(binary), .prometheus(prometheus), .victoria(victoria)] }
}

/// A peer that runs and answers.
struct PeerServer: Sendable {
    let process: ServerProcess
    let client: LabClient
    /// Its data directory.
    let data: String
    /// From its start until it said that it is ready.
    let readySeconds: Double

    /// Starts a peer on a free port with its directory below `path`, and waits until it is ready.
    ///
    /// - Parameter flags: appended to the peer's usual arguments.
    static func start(
        _ peer: Peer, _ binary: String, below path: String, flags: [String] = []
    ) async throws -> PeerServer {
        let data = path + "/" + peer.name
        let configuration = path + "/empty.yml"
        try Data("global: {}\n".utf8).write(to: URL(filePath: configuration))
        let port = try freePort()
        let process = try ServerProcess(
            binary, peer.arguments(data: data, port: port, configuration: configuration) + flags,
            logPath: path + "/\(peer.name).log")
        let client = LabClient(url: "http://127.0.0.1:\(port)")
        let clock = SystemClock()
        for _ in 0..<12_000 {
            if process.status() != nil { break }
            // Refused until it listens.
            if let answer = try? await client.get(peer.readyPath), answer.isSuccess {
                return PeerServer(
                    process: process, client: client, data: data,
                    readySeconds: Double(clock.monotonicNanos - process.startedNanos) / 1e9)
            }
            try await clock.sleep(seconds: 0.01)
        }
        throw LabError("\(peer.name) does not start; its log:\n\(process.log.suffix(2000))")
    }

    /// Waits until what the load left to do is done: parts are written and merged.
    func settle(_ peer: Peer) async throws {
        if case .tern = peer { try await TernMetrics(client: client).waitUntilSealed() }
        try await rest()
    }

    /// Waits until three seconds pass with less than 0.1 s of CPU each.
    func rest() async throws {
        var calm = 0
        var last = process.usage?.cpuSeconds ?? 0
        for _ in 0..<120 where calm < 3 {
            try await SystemClock().sleep(seconds: 1)
            let now = process.usage?.cpuSeconds ?? 0
            calm = now - last < 0.1 ? calm + 1 : 0
            last = now
        }
    }

    /// The first line of what the binary says of its version, complaints about the machine aside.
    static func version(_ binary: String, below path: String) async throws -> String {
        let process = try ServerProcess(binary, ["--version"], logPath: path + "/version.log")
        try await process.wait(seconds: 10)
        return process.log.split(separator: "\n").first { !$0.contains("ERROR") }.map(String.init)
            ?? "its binary names no version"
    }

    /// A port of the loopback interface that is free now.
    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard code == 0 else { throw LabError("no free port on 127.0.0.1") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

/// Bytes of a data directory but for copies of caches, which VictoriaMetrics writes at its end; 0
/// when there is no such directory.
func storedBytes(_ path: String) throws -> Int {
    guard access(path, F_OK) == 0 else { return 0 }
    let caches = path + "/cache"
    return try directoryBytes(path) - (access(caches, F_OK) == 0 ? directoryBytes(caches) : 0)
}
