// SPDX-License-Identifier: Apache-2.0
// The same remote write requests into other servers.

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

/// Loads the metrics of a plan into other servers.
struct PeerBench: Sendable {
    let plan: BenchPlan

    func run(_ peers: [Peer]) async throws {
        var table = MarkdownTable(
            "server", "seconds", "server CPU s", "CPU ns/sample", "CPU s to its clean end",
            "peak RSS", "bytes/sample while running", "bytes/sample after a clean stop",
            "bytes/sample as a block")
        var notes: [String] = []
        for peer in peers {
            guard let binary = Binaries.find(peer.binary) else {
                notes.append("\(peer.name): no `\(peer.binary)` on this machine, left out")
                continue
            }
            complain("loading \(peer.name)")
            notes.append("\(peer.name): \(try await version(binary))")
            try await run(peer, binary, &table, &notes)
        }
        say("## The same remote write requests into other servers\n")
        say(table.text)
        for note in notes { say("- " + note) }
        say("")
    }

    private func run(
        _ peer: Peer, _ binary: String, _ table: inout MarkdownTable, _ notes: inout [String]
    ) async throws {
        let data = plan.path + "/" + peer.name
        let configuration = plan.path + "/empty.yml"
        try Data("global: {}\n".utf8).write(to: URL(filePath: configuration))
        let port = try freePort()
        let process = try ServerProcess(
            binary, peer.arguments(data: data, port: port, configuration: configuration),
            logPath: plan.path + "/\(peer.name).log")
        let client = LabClient(url: "http://127.0.0.1:\(port)")
        try await waitUntilReady(peer, process, client)
        let before = process.usage?.cpuSeconds ?? 0
        let report = try await LoadRun(client: client, lanes: plan.lanes).run(plan.metrics)
        guard let after = process.usage else { throw LabError("\(peer.name) is gone") }
        let running = try storedBytes(data)
        // It makes samples visible after a second or so.
        try await SystemClock().sleep(seconds: 3)
        let found = try await Counting(client: client).samples(plan.metrics)
        notes.append(
            "\(peer.name): \(found) of \(report.acknowledged) samples counted back by queries")
        let block = try await blockBytes(peer, client, data)
        try await process.stop()
        let snapshot = try storedBytes(data + "/snapshots")
        let stopped = try storedBytes(data) - snapshot
        let n = Double(max(1, report.acknowledged))
        let cpu = after.cpuSeconds - before
        table.row(
            peer.name, decimals(report.seconds, 1), decimals(cpu, 2),
            decimals(cpu * 1e9 / n, 0),
            process.totalCPUSeconds.map { decimals($0, 2) } ?? "-", megabytes(after.peakBytes),
            decimals(Double(running) / n, 2), decimals(Double(stopped) / n, 2),
            block.map { decimals(Double($0) / n, 2) } ?? "-")
    }

    /// Bytes of data in its final form. Prometheus keeps two hours in memory and log; a snapshot
    /// writes them as a block. Tern seals by age.
    private func blockBytes(_ peer: Peer, _ client: LabClient, _ data: String) async throws -> Int?
    {
        switch peer {
        case .prometheus:
            let answer = try await client.post(
                "/api/v1/admin/tsdb/snapshot", headers: [], body: [])
            guard answer.isSuccess else { return nil }
            return try storedBytes(data + "/snapshots")
        case .tern:
            try await TernMetrics(client: client).waitUntilSealed()
            return try storedBytes(data + "/parts")
        case .victoria: return nil
        }
    }

    /// Bytes of a data directory but for copies of caches, which VictoriaMetrics writes at its end;
    /// 0 when there is no such directory.
    private func storedBytes(_ path: String) throws -> Int {
        guard access(path, F_OK) == 0 else { return 0 }
        let caches = path + "/cache"
        return try directoryBytes(path) - (access(caches, F_OK) == 0 ? directoryBytes(caches) : 0)
    }

    private func waitUntilReady(
        _ peer: Peer, _ process: ServerProcess, _ client: LabClient
    ) async throws {
        for _ in 0..<600 {
            if process.status() != nil { break }
            // Refused until it listens.
            if let answer = try? await client.get(peer.readyPath), answer.isSuccess { return }
            try await SystemClock().sleep(seconds: 0.1)
        }
        throw LabError("\(peer.name) does not start; its log:\n\(process.log.suffix(2000))")
    }

    private func version(_ binary: String) async throws -> String {
        let log = plan.path + "/version.log"
        let process = try ServerProcess(binary, ["--version"], logPath: log)
        try await process.wait(seconds: 10)
        return process.log.split(separator: "\n").first.map(String.init)
            ?? "its binary names no version"
    }

    /// A port of the loopback interface that is free now.
    private func freePort() throws -> Int {
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
