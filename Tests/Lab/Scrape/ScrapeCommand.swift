// SPDX-License-Identifier: Apache-2.0
// `lab scrape`: what scraping a fleet costs.

import ArgumentParser
import Base
import FoundationEssentials
import Glibc

struct ScrapeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrape", abstract: "Let a server scrape many targets and measure it.")

    @Option(help: "Targets, each on a loopback address of its own; at most 60000.")
    var targets = 2000
    @Option(help: "Seconds between two scrapes of a target.")
    var interval = 15
    @Option(help: "Times the 426 series of a machine per target.")
    var repeats = 1
    @Option(help: "Seconds to measure, after two intervals of warming up.")
    var seconds = 60
    @Option(help: "The server's binary (the one built beside this).")
    var binary = Binaries.tern
    @Option(help: "Prometheus' binary, measured after the server; empty = left out.")
    var prometheus = ""
    @Option(help: "Where data directories are made (the system's temporary directory).")
    var directory: String?
    @Flag(help: "Keep the data directories.")
    var keep = false

    func run() async throws {
        try await Cleanup.shared.around {
            let path = try Cleanup.shared.directory(below: directory, keep: keep)
            if keep { say("directory \(path)") }
            let fleet = try await FakeTargets(count: targets, repeats: repeats, seed: 1)
            say(
                "\(targets) targets with \(fleet.samplesPerPage) samples in "
                    + "\(fleet.bytesPerPage) bytes, every \(interval) s")
            try write(fleet, below: path)
            var peers: [Peer] = [.tern(binary)]
            if !prometheus.isEmpty, let found = Binaries.find(prometheus) {
                peers.append(.prometheus(found))
            }
            for peer in peers { try await measure(peer, fleet, path) }
            try await fleet.stop()
        }
    }

    /// Target files and a configuration that both servers take.
    private func write(_ fleet: FakeTargets, below path: String) throws {
        var json = JSONWriter()
        json.beginArray()
        json.beginObject()
        json.key("targets")
        json.beginArray()
        for address in fleet.addresses { json.string(address) }
        json.endArray()
        json.endObject()
        json.endArray()
        try Data(json.bytes).write(to: URL(filePath: path + "/targets.json"))
        let text = """
            global: {scrape_interval: \(interval)s, scrape_timeout: \(interval)s}
            scrape_configs:
              - job_name: node
                file_sd_configs: [{files: ["\(path)/targets.json"]}]

            """
        try Data(text.utf8).write(to: URL(filePath: path + "/scrape.yml"))
    }

    private func measure(_ peer: Peer, _ fleet: FakeTargets, _ path: String) async throws {
        let clock = SystemClock()
        let port = try PeerServer.freePort()
        let configuration = path + "/scrape.yml"
        var arguments = peer.arguments(
            data: path + "/" + peer.name, port: port, configuration: configuration)
        if case .tern = peer {
            // As an operator runs it: heads are as old as they get.
            arguments += ["--config.file", configuration, "--storage.seal-age", "5m"]
        }
        let process = try ServerProcess(
            peer.binary, arguments, logPath: path + "/\(peer.name).log")
        try await clock.sleep(seconds: Double(2 * interval) + 5)
        guard let before = process.usage else {
            throw LabError("\(peer.name) ended; its log:\n\(process.log.suffix(2000))")
        }
        let servedBefore = fleet.servedCount
        let started = clock.monotonicNanos
        try await clock.sleep(seconds: Double(seconds))
        guard let after = process.usage else { throw LabError("\(peer.name) ended") }
        let elapsed = Double(clock.monotonicNanos - started) / 1e9
        let scrapes = fleet.servedCount - servedBefore
        let cpu = after.cpuSeconds - before.cpuSeconds
        let samples = scrapes * fleet.samplesPerPage
        func text(_ value: Double, _ factor: Double) -> String {
            "\((value * factor).rounded() / factor)"
        }
        say(
            "\(peer.name): \(scrapes) scrapes in \(text(elapsed, 10)) s "
                + "(\(targets * Int(elapsed) / interval) due), "
                + "\(text(cpu / elapsed * 100, 10)) % of one core, "
                + "\(text(cpu / Double(max(scrapes, 1)) * 1e6, 1)) µs per scrape, "
                + "\(text(cpu / Double(max(samples, 1)) * 1e6, 1000)) µs per sample, "
                + "peak memory \(after.peakBytes >> 20) MiB")
        try await process.stop()
    }
}
