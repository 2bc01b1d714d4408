// SPDX-License-Identifier: Apache-2.0
// One seed: lives of a data directory, cut short at every operation.

import Base
import Storage
import Synchronization
import TestKit

/// A seeded workload on a faulty disk. At each operation that changes the disk, images of it are
/// taken as a power cut or a kill at this moment would leave it; each image is opened and compared
/// with the ledger, and one of them is where the next life begins.
final class Simulation: Sendable {
    struct Image: Sendable {
        var disk: FaultyDisk
        var ledger: Ledger
        var moment: String
    }

    private let seed: UInt64
    private let ledger: Mutex<Ledger>
    private let images = Mutex<[Image]>([])
    private let random: SeededRandom
    private let clock = ManualClock()
    private static let day: Int64 = 86_400_000_000_000

    init(seed: UInt64) {
        self.seed = seed
        random = SeededRandom(seed: seed)
        ledger = Mutex(Ledger())
    }

    /// Runs a seed.
    ///
    /// - Returns: what went wrong, and how many images were opened.
    static func run(seed: UInt64, lives: Int = 3) async -> (problems: [String], images: Int) {
        let simulation = Simulation(seed: seed)
        var disk = FaultyDisk(seed: seed)
        var opened = 0
        for life in 1...lives {
            let problems = await simulation.live(disk)
            if !problems.isEmpty {
                return (problems.map { "seed \(seed) life \(life): \($0)" }, opened)
            }
            let images = simulation.images.withLock { $0 }
            simulation.images.withLock { $0 = [] }
            for (index, image) in images.enumerated() {
                opened += 1
                let deep = simulation.random.next() % 8 == 0
                if let problem = await simulation.verify(image, deep: deep) {
                    return (
                        ["seed \(seed) life \(life) image \(index), \(image.moment): \(problem)"],
                        opened
                    )
                }
            }
            guard let next = images.randomElement(with: simulation.random) else { break }
            disk = next.disk.afterKill()
            simulation.ledger.withLock { $0 = next.ledger }
        }
        return ([], opened)
    }

    private func open(_ disk: FaultyDisk) throws -> ToyServer {
        try ToyServer(disk, clock: clock, seed: random.next()) {
            $0.segmentBytes = 4096
            $0.manifestBytes = 600
            $0.retentionSeconds = 5 * 86_400
            $0.compactionParallelism = 1
        }
    }

    // MARK: - A life

    private func live(_ disk: FaultyDisk) async -> [String] {
        disk.onOperation { [self] disk, operation, path in
            let moment = "before \(operation.rawValue) \(path)"
            let ledger = ledger.withLock { $0 }
            let seed = random.next()
            let image = seed % 4 == 0 ? disk.afterKill() : disk.afterPowerCut(seed: seed)
            images.withLock { $0.append(Image(disk: image, ledger: ledger, moment: moment)) }
        }
        defer { disk.onOperation(nil) }
        let server: ToyServer
        do {
            server = try open(disk)
        } catch { return ["cannot open: \(error)"] }
        if let problem = ledger.withLock({ $0.disagreement(with: server.store.rows) }) {
            return [problem]
        }
        ledger.withLock { $0.settle(server.store.rows) }
        if random.next() % 3 == 0 { disk.failRandomly(0.03) }
        var problems: [String] = []
        for _ in 0..<(8 + random.next() % 20) {
            await act(server)
            // Refusals end by themselves once a second has passed.
            clock.advance(seconds: 1.5)
        }
        if let problem = ledger.withLock({
            $0.disagreement(with: server.store.rows, live: true)
        }) {
            problems.append("while running: \(problem)")
        }
        problems += server.store.problems
        await server.kernel.stop(flush: random.next() % 4 == 0)
        disk.clearFaults()
        return problems
    }

    private func act(_ server: ToyServer) async {
        switch random.next() % 16 {
        case 0...8: await commit(server)
        case 9, 10:
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { await self.commit(server) } }
            }
        case 11, 12, 13: await attempt { try await server.kernel.sealNow() }
        case 14: await attempt { try await server.kernel.compactNow() }
        default:
            // The exact limit depends on what is in parts by now; whatever is near may go.
            ledger.withLock { $0.expire(before: clock.wallNanos - 4 * Simulation.day) }
            await attempt { try await server.kernel.enforceRetention() }
        }
    }

    /// Background work may fail when the disk does; what counts is what it leaves.
    private func attempt(_ body: () async throws -> Void) async {
        do { try await body() } catch { return }
    }

    private func commit(_ server: ToyServer) async {
        let nanos = clock.wallNanos - Int64(random.next() % 7) * Simulation.day
        let tenant = random.next() % 3 == 0 ? "a" : "b"
        let count = 1 + Int(random.next() % 3)
        let bytes = random.next() % 8 == 0 ? 2000 : Int(random.next() % 300)
        let (index, rows) = ledger.withLock { ledger in
            let rows = ledger.takeKeys(count).map {
                ToyServer.row($0, tenant: tenant, nanos: nanos, bytes: bytes)
            }
            return (ledger.attempt(rows), rows)
        }
        do throws(CommitError) {
            try await server.commit(rows)
            ledger.withLock { $0.acknowledge(index) }
        } catch { return }
    }

    // MARK: - Looking at an image

    private func verify(_ image: Image, deep: Bool) async -> String? {
        if deep {
            do {
                let report = try StorageCheck.check(
                    path: "/data", files: image.disk.afterKill(),
                    storesBySignal: [.logs: ToyStore()])
                if let fault = report.faults.first { return "the check finds \(fault)" }
            } catch KernelError.notADataDirectory {
                // Cut before there was anything.
            } catch { return "cannot check: \(error)" }
        }
        let disk = image.disk.afterKill()
        let server: ToyServer
        do {
            server = try open(disk)
        } catch { return "cannot open: \(error)" }
        var problem = image.ledger.disagreement(with: server.store.rows)
        if let fault = server.kernel.status.faults.first { problem = problem ?? "fault: \(fault)" }
        guard problem == nil, deep else {
            await server.kernel.stop()
            return problem
        }
        // Go on for a little, lose power once more, and look again.
        var ledger = image.ledger
        ledger.settle(server.store.rows)
        let rows = ledger.takeKeys(1).map { ToyServer.row($0) }
        let index = ledger.attempt(rows)
        do {
            try await server.commit(rows)
            ledger.acknowledge(index)
            if random.next() % 2 == 0 { try await server.kernel.sealNow() }
        } catch { return "cannot go on: \(error)" }
        let after = disk.afterPowerCut(seed: random.next())
        await server.kernel.stop()
        do {
            let again = try open(after)
            let problem = ledger.disagreement(with: again.store.rows)
            await again.kernel.stop()
            return problem.map { "after going on: \($0)" }
        } catch { return "cannot open again: \(error)" }
    }
}

extension Array {
    fileprivate func randomElement(with random: some RandomSource) -> Element? {
        isEmpty ? nil : self[Int(random.next() % UInt64(count))]
    }
}
