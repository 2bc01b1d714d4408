// SPDX-License-Identifier: Apache-2.0
// One seed: lives of a data directory with all four stores, cut short at every operation.

import Base
import Correlation
import MetricStore
import Storage
import Synchronization
import Telemetry
import TestKit

/// Commits of the workload and what became of them.
struct PromiseLedger: Sendable {
    struct Commit: Sendable {
        var promises: [Promise]
        /// Its commit returned, or it was seen after a restart.
        var isAcknowledged = false
        /// Retention has covered it: it may be gone, in part or as a whole.
        var isExpired = false
        /// A deletion may have taken samples of it.
        var isDeleted = false
    }
    private(set) var commits: [Commit] = []
    private(set) var nextKey: UInt64 = 1

    mutating func takeKey() -> UInt64 {
        defer { nextKey += 1 }
        return nextKey
    }

    mutating func attempt(_ promises: [Promise]) -> Int {
        commits.append(Commit(promises: promises))
        return commits.count - 1
    }
    mutating func acknowledge(_ index: Int) { commits[index].isAcknowledged = true }
    mutating func expire(before nanos: Int64) {
        for index in commits.indices
        where commits[index].promises.contains(where: { $0.nanos < nanos }) {
            commits[index].isExpired = true
        }
    }

    /// Series s="3" is deleted, or will be when the disk plays along.
    mutating func delete() {
        for index in commits.indices
        where commits[index].promises.contains(where: { $0.key % 5 == 3 }) {
            commits[index].isDeleted = true
        }
    }

    /// What is wrong with what a server shows, or nil.
    ///
    /// - Parameter live: in the process that committed, refused commits must not show.
    func disagreement(with server: WholeServer, live: Bool = false) throws -> String? {
        for tenant in ["a", "b"] {
            let visible = try server.visible(tenant)
            if let warning = visible.warnings.first { return warning }
            for counts in [visible.samples, visible.lines, visible.spans] {
                if let twice = counts.first(where: { $0.value > 1 }) {
                    return "key \(twice.key) is there \(twice.value) times"
                }
            }
            var known: Set<UInt64> = []
            for commit in commits where commit.promises[0].tenant == tenant {
                known.formUnion(commit.promises.map(\.key))
                if commit.isAcknowledged, let lost = lostForever(commit, visible) { return lost }
                if commit.isExpired || commit.isDeleted { continue }
                let shown = commit.promises.filter { shows($0, visible) }
                if shown.isEmpty {
                    if commit.isAcknowledged {
                        return "acknowledged keys \(commit.promises.map(\.key)) are lost"
                    }
                    continue
                }
                if live, !commit.isAcknowledged {
                    return "refused keys \(commit.promises.map(\.key)) show"
                }
                // What shows of a commit shows whole, in every store and in the index.
                for promise in commit.promises {
                    if let breach = try server.breach(promise, visible) { return breach }
                }
            }
            let seen = Set(visible.samples.keys).union(visible.lines.keys)
                .union(visible.spans.keys).union(visible.families)
            if let stranger = seen.subtracting(known).first { return "nobody wrote \(stranger)" }
        }
        return nil
    }

    /// Samples of s="2" have a retention of their own, longer than any life, and are never deleted.
    private func lostForever(_ commit: Commit, _ visible: WholeServer.Visible) -> String? {
        let kept = commit.promises.filter { $0.key % 5 == 2 && !$0.isMetadata }
        return kept.first { visible.samples[$0.key] != 1 }.map {
            "sample \($0.key) is lost, which has a retention of its own"
        }
    }

    private func shows(_ promise: Promise, _ visible: WholeServer.Visible) -> Bool {
        promise.isMetadata
            ? visible.families.contains(promise.key)
            : visible.samples[promise.key] != nil || visible.lines[promise.key] != nil
                || visible.spans[promise.key] != nil
    }

    /// After a restart there is no uncertainty: what was found is durable, the rest is gone.
    mutating func settle(_ server: WholeServer) throws {
        let visible = try ["a": server.visible("a"), "b": server.visible("b")]
        commits = commits.compactMap { commit in
            var commit = commit
            let found = visible[commit.promises[0].tenant] ?? WholeServer.Visible()
            guard
                commit.isExpired || commit.isDeleted
                    || commit.promises.contains(where: { shows($0, found) })
            else {
                return nil
            }
            commit.isAcknowledged = commit.promises.contains { shows($0, found) }
            return commit
        }
    }
}

/// A seeded workload on a faulty disk. At operations that change the disk, images of it are taken
/// as a power cut or a kill at this moment would leave it; each image is opened with fresh stores
/// and compared with the ledger, and one of them is where the next life begins.
final class WholeSimulation: Sendable {
    struct Image: Sendable {
        var disk: FaultyDisk
        var ledger: PromiseLedger
        var moment: String
    }

    private let seed: UInt64
    private let ledger = Mutex(PromiseLedger())
    private let images = Mutex<[Image]>([])
    private let random: SeededRandom
    private let clock = ManualClock()
    private static let day: Int64 = 86_400_000_000_000

    init(seed: UInt64) {
        self.seed = seed
        random = SeededRandom(seed: seed)
    }

    /// Runs a seed.
    ///
    /// - Returns: what went wrong, and how many images were opened.
    static func run(seed: UInt64, lives: Int = 2) async -> (problems: [String], images: Int) {
        let simulation = WholeSimulation(seed: seed)
        var disk = FaultyDisk(seed: seed)
        var opened = 0
        for life in 1...lives {
            var problem = await simulation.live(disk)
            let images = simulation.images.withLock { $0 }
            simulation.images.withLock { $0 = [] }
            for (index, image) in images.enumerated() where problem == nil {
                opened += 1
                problem = await simulation.verify(image).map {
                    "image \(index), \(image.moment): \($0)"
                }
            }
            if let problem { return (["seed \(seed) life \(life) \(problem)"], opened) }
            if images.isEmpty { break }
            let next = images[Int(simulation.random.next() % UInt64(images.count))]
            disk = next.disk.afterKill()
            simulation.ledger.withLock { $0 = next.ledger }
        }
        return ([], opened)
    }

    private static func rule(_ series: String, days: Double) -> MetricRetention {
        MetricRetention(
            selectors: [[LabelMatcher(equal: "s", series)]], seconds: days * 86_400)
    }

    /// Rules come, go and change places from start to start; s="2" always has one.
    private func rules() -> [MetricRetention] {
        let (short, long) = (
            WholeSimulation.rule("1", days: 3), WholeSimulation.rule("2", days: 60)
        )
        return switch random.next() % 3 {
        case 0: [short, long]
        case 1: [long, WholeSimulation.rule("4", days: 30), short]
        default: [long]
        }
    }

    private func open(_ disk: FaultyDisk) throws -> WholeServer {
        try WholeServer(disk, clock: clock, seed: random.next(), retention: rules()) {
            $0.segmentBytes = 4096
            $0.manifestBytes = 1000
            $0.retentionSeconds = 5 * 86_400
            $0.downsampling = [
                DownsamplingRule(afterSeconds: 86_400, resolutionMillis: 60_000),
                DownsamplingRule(afterSeconds: 3 * 86_400, resolutionMillis: 300_000),
            ]
        }
    }

    // MARK: - A life

    private func live(_ disk: FaultyDisk) async -> String? {
        disk.onOperation { [self] disk, operation, path in
            // Every third operation: real stores take their time to open.
            let seed = random.next()
            guard seed % 3 == 0 else { return }
            let ledger = ledger.withLock { $0 }
            let image = seed % 4 == 0 ? disk.afterKill() : disk.afterPowerCut(seed: seed)
            let moment = "before \(operation.rawValue) \(path)"
            images.withLock { $0.append(Image(disk: image, ledger: ledger, moment: moment)) }
        }
        defer { disk.onOperation(nil) }
        do {
            let server = try open(disk)
            if let problem = try ledger.withLock({ try $0.disagreement(with: server) }) {
                return "at the start: \(problem)"
            }
            try ledger.withLock { try $0.settle(server) }
            if random.next() % 3 == 0 { disk.failRandomly(0.03) }
            for _ in 0..<(6 + random.next() % 10) {
                await act(server)
                // Refusals end by themselves once a second has passed.
                clock.advance(seconds: 1.5)
            }
            if let problem = try ledger.withLock({ try $0.disagreement(with: server, live: true) })
            {
                return "while running: \(problem)"
            }
            await server.kernel.stop(flush: random.next() % 4 == 0)
            disk.clearFaults()
            return nil
        } catch { return "cannot go on: \(error)" }
    }

    private func act(_ server: WholeServer) async {
        switch random.next() % 19 {
        case 0...7: await commit(server)
        case 8, 9:
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { await self.commit(server) } }
            }
        case 10...12: await attempt { try await server.kernel.sealNow() }
        case 13, 14: await attempt { try await server.kernel.compactNow() }
        case 15:
            ledger.withLock { $0.delete() }
            await attempt {
                try await server.metrics.delete(
                    [[LabelMatcher(equal: "s", "3")]], .all, tenant: Tenant("b"),
                    in: server.kernel)
            }
        case 17: await attempt { try await server.kernel.downsampleNow() }
        case 16: await attempt { try await server.kernel.cleanDeletions(tenant: "b") }
        default:
            // The exact limit depends on what is in parts by now; whatever is near may go.
            ledger.withLock { $0.expire(before: clock.wallNanos - 2 * WholeSimulation.day) }
            await attempt { try await server.kernel.enforceRetention() }
        }
    }

    /// Background work may fail when the disk does; what counts is what it leaves.
    private func attempt(_ body: () async throws -> Void) async {
        do { try await body() } catch { return }
    }

    private func commit(_ server: WholeServer) async {
        let nanos = clock.wallNanos - Int64(random.next() % 7) * WholeSimulation.day
        let tenant = random.next() % 3 == 0 ? "a" : "b"
        let count = 1 + Int(random.next() % 3)
        let isMetadata = random.next() % 6 == 0
        let padding = random.next() % 8 == 0 ? 2000 : 32
        let (index, promises) = ledger.withLock { ledger in
            let promises = (0..<count).map { _ in
                let key = ledger.takeKey()
                return Promise(
                    key: key, tenant: tenant,
                    // Far enough from each other to be in buckets of their own.
                    nanos: (isMetadata ? clock.wallNanos : nanos) + Int64(key) * 300_000_000_000,
                    isMetadata: isMetadata, padding: padding)
            }
            return (ledger.attempt(promises), promises)
        }
        do throws(CommitError) {
            try await server.commit(promises)
            ledger.withLock { $0.acknowledge(index) }
        } catch { return }
    }

    // MARK: - Looking at an image

    private func verify(_ image: Image) async -> String? {
        let deep = random.next() % 12 == 0
        do {
            if deep {
                do {
                    let report = try StorageCheck.check(
                        path: "/data", files: image.disk.afterKill(),
                        storesBySignal: WholeServer.fresh())
                    if let fault = report.faults.first { return "the check finds \(fault)" }
                } catch KernelError.notADataDirectory {
                    // Cut before there was anything.
                }
            }
            let disk = image.disk.afterKill()
            let server = try open(disk)
            var problem = try image.ledger.disagreement(with: server)
            if let fault = server.kernel.status.faults.first {
                problem = problem ?? "fault: \(fault)"
            }
            guard problem == nil, deep else {
                await server.kernel.stop()
                return problem
            }
            // Go on for a little, lose power once more, and look again.
            var ledger = image.ledger
            try ledger.settle(server)
            let key = ledger.takeKey()
            let promises = [
                Promise(
                    key: key, tenant: "a",
                    nanos: clock.wallNanos + Int64(key) * 300_000_000_000)
            ]
            let index = ledger.attempt(promises)
            try await server.commit(promises)
            ledger.acknowledge(index)
            if random.next() % 2 == 0 { try await server.kernel.sealNow() }
            let after = disk.afterPowerCut(seed: random.next())
            await server.kernel.stop()
            let again = try open(after)
            problem = try ledger.disagreement(with: again)
            await again.kernel.stop()
            return problem.map { "after going on: \($0)" }
        } catch { return "cannot open: \(error)" }
    }
}
