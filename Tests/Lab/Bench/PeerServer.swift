// SPDX-License-Identifier: Apache-2.0
// Servers that take the same remote write requests.

import Base
import FoundationEssentials
import Glibc

/// A server that takes remote write.
enum Peer: Sendable {
    case prometheus(String)
    case victoria(String)
    case tern(String)

    var name: String {
        switch self {
        case .prometheus: "Prometheus"
        case .victoria: "VictoriaMetrics"
        case .tern: "Tern"
        }
    }

    var binary: String {
        switch self {
        case .prometheus(let path), .victoria(let path), .tern(let path): path
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
        case .victoria: "/health"
        }
    }
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

    /// The first line of what the binary says of its version.
    static func version(_ binary: String, below path: String) async throws -> String {
        let process = try ServerProcess(binary, ["--version"], logPath: path + "/version.log")
        try await process.wait(seconds: 10)
        return process.log.split(separator: "\n").first.map(String.init)
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
