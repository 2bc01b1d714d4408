// SPDX-License-Identifier: Apache-2.0
// `tern demo`: a server with a shop whose payment service has a fault.

import ArgumentParser
import Base
import FoundationEssentials
import Server
import Shell

struct DemoCommand: AsyncParsableCommand, Sendable {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Run a server with a generated shop, traffic and a planted incident.",
        discussion:
            "Prints the three commands that find the incident. The data is in a folder that "
            + "goes away at the end, unless --storage.path names one. With --url the shop sends "
            + "to a server that runs already.")

    @Option(help: "Send to this server instead of starting one.")
    var url: String?
    @Option(name: .customLong("web.listen-address"), help: "HOST:PORT of the server.")
    var listen = "127.0.0.1:4100"
    @Option(name: .customLong("storage.path"), help: "Data directory (a temporary one).")
    var storagePath: String?
    @Option(help: "Requests of the shop a second.")
    var rate = 5.0
    @Option(help: "How much past there is at the start, for example 15m.")
    var history = "15m"
    @Option(help: "Another number is another shop's day.")
    var seed: UInt64 = 1

    func run() async throws {
        guard let seconds = shellDuration(history), seconds >= 60 else {
            throw ValidationError("--history takes a duration from 1m on, not \(history)")
        }
        if let url {
            try await send(to: ShellClient(url: url), seconds)
            return
        }
        guard let address = ListenAddress(listen), address.port > 0 else {
            throw ValidationError("--web.listen-address takes HOST:PORT, not \(listen)")
        }
        let folder = storagePath ?? temporaryFolder()
        defer {
            if storagePath == nil {
                do {
                    try FileManager.default.removeItem(atPath: folder)
                } catch {
                    Terminal.complain("tern: \(folder) is left: \(error)")
                }
            }
        }
        try await serve(address, folder, seconds)
    }

    private func temporaryFolder() -> String {
        let base = Terminal.environment("TMPDIR") ?? "/tmp"
        return base + "/tern-demo-" + String(SystemRandom().next(), radix: 16)
    }

    /// The server and the shop until one of them ends: the server does on Ctrl-C.
    private func serve(_ address: ListenAddress, _ folder: String, _ seconds: Double) async throws {
        var options = ServerOptions()
        options.listen = [address]
        options.otlpHTTP = nil
        options.otlpGRPC = nil
        options.storagePath = folder
        options.logLevel = "warning"
        let log = try LogOptions(level: options.logLevel, format: options.logFormat)
        let settings = options
        let client = ShellClient(url: "http://\(address)")
        Terminal.complain("tern demo: the server is at \(client.url), its data in \(folder)")
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await TernServer.run(settings, log: log) }
                group.addTask {
                    try await ready(client)
                    try await send(to: client, seconds)
                }
                // The first to end ends the other.
                try await group.next()
                group.cancelAll()
            }
        } catch is CancellationError {
            return
        } catch let error as ShellError where error.exit == .cancelled {
            return
        } catch {
            Terminal.complain("tern: \(error)")
            throw ExitCode.failure
        }
    }

    /// Waits until the server answers queries, a minute at most.
    private func ready(_ client: ShellClient) async throws {
        let clock = SystemClock()
        let deadline = clock.monotonicNanos + 60_000_000_000
        while true {
            do {
                _ = try await client.bytes("/-/ready")
                return
            } catch let error as ShellError where error.exit != .cancelled {
                guard clock.monotonicNanos < deadline else { throw error }
                try await clock.sleep(seconds: 0.2)
            }
        }
    }

    private func send(to client: ShellClient, _ seconds: Double) async throws {
        let traffic = DemoTraffic(
            client: client, rate: rate, historySeconds: seconds, seed: seed)
        let url = client.url
        try await traffic.run { planted in
            Terminal.write(DemoTraffic.commands(planted, url: url))
        }
    }
}
