// SPDX-License-Identifier: Apache-2.0
// The senders of `remote_write`.

import Base
import Ingest
import Logging
import ServiceLifecycle
import Synchronization

/// Runs a sender per destination of the configuration in force, from the queue that the data
/// directory holds.
final class Forwarding: Service {
    private struct Running: Sendable {
        var settings: ForwardDestination
        var sender: ForwardSender
        var task: Task<Void, Never>
    }

    private struct State: Sendable {
        var queue: ForwardQueue?
        var namesTenants = false
        /// By name of the destination.
        var running: [String: Running] = [:]
    }

    /// Seconds that requests under way are waited for at the end. What they hold stays in the queue.
    private static let graceSeconds = 4.0

    private let logger: Logger
    private let clock: any Clock
    private let state = Mutex(State())
    /// Configurations to put into force, in their order.
    private let configurations = AsyncStream<[ForwardDestination]>.makeStream()

    init(_ logger: Logger, _ clock: any Clock) {
        self.logger = logger
        self.clock = clock
    }

    /// The data directory is open.
    func open(_ core: Core, _ settings: [ForwardDestination]) {
        state.withLock { state in
            state.queue = core.pipeline.forward
            state.namesTenants = core.settings.tenancy == .header
        }
        apply(settings)
    }

    /// Puts destinations into force, soon. Those that did not change go on undisturbed.
    func apply(_ settings: [ForwardDestination]) { configurations.continuation.yield(settings) }

    func run() async throws {
        let http = OutgoingHTTP()
        await cancelWhenGracefulShutdown { [self] in
            for await settings in configurations.stream { await put(settings, http) }
        }
        await end(Array(state.withLock { $0.running.values }))
        await http.shutdown()
    }

    private func put(_ settings: [ForwardDestination], _ http: OutgoingHTTP) async {
        guard let queue = state.withLock({ $0.queue }) else { return }
        let wanted = Dictionary(
            settings.map { ($0.forward.name, $0) }, uniquingKeysWith: { first, _ in first })
        let gone = state.withLock { state in
            let gone = state.running.filter { wanted[$0.key] != $0.value.settings }
            for name in gone.keys { state.running[name] = nil }
            return gone
        }
        await end(Array(gone.values))
        let names = settings.map(\.forward.name)
        do {
            try await queue.pool.run { try queue.setDestinations(names) }
        } catch {
            logger.error(
                "forwarding: \(error); nothing is sent until the configuration is loaded again")
            return
        }
        for one in settings where state.withLock({ $0.running[one.forward.name] == nil }) {
            start(one, queue, http)
        }
    }

    private func start(_ settings: ForwardDestination, _ queue: ForwardQueue, _ http: OutgoingHTTP)
    {
        let logger = self.logger
        let transport = RemoteWriteTransport(
            http: http, settings: settings,
            namesTenants: state.withLock { $0.namesTenants })
        let sender = ForwardSender(
            settings.forward, queue: queue, transport: transport, clock: clock
        ) { logger.warning("\($0)") }
        let task = Task { await sender.run() }
        state.withLock {
            $0.running[settings.forward.name] = Running(
                settings: settings, sender: sender, task: task)
        }
        logger.info(
            "forwarding",
            metadata: ["to": "\(settings.forward.name)", "url": "\(settings.forward.url)"])
    }

    /// Waits for requests under way, for a while, then cancels them.
    private func end(_ running: [Running]) async {
        for one in running { one.sender.stop() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for one in running { await one.task.value }
            }
            group.addTask { [clock] in
                // Cancelled when all have ended.
                _ = try? await clock.sleep(seconds: Self.graceSeconds)
            }
            await group.next()
            for one in running { one.task.cancel() }
            group.cancelAll()
        }
        for one in running { await one.task.value }
    }

    /// What there is to be seen of each destination, by name.
    var destinations: [(settings: ForwardDestination, totals: ForwardTotals)] {
        state.withLock { $0.running.values.map { ($0.settings, $0.sender.status) } }
            .sorted { $0.settings.forward.name < $1.settings.forward.name }
    }

    var queue: ForwardQueue? { state.withLock { $0.queue } }
}
