// SPDX-License-Identifier: Apache-2.0
// Appending, reading, sealing and merging at once.

import Base
import Storage
import Synchronization
import Telemetry
import Testing

@testable import LogStore

/// A store that several tasks work on.
private final class Exercise: Sendable {
    private struct Progress {
        var handles: [PartHandle] = []
        var nextID: UInt64 = 1
        var generation: UInt64 = 1
        var sequence: UInt64 = 0
    }
    static let streamCount = 8
    static let rounds = 120
    static let rowsPerRound = 5

    let store: LogStore
    let tenant = Tenant("t")
    private let progress = Mutex(Progress())
    private let writing: Atomic<Int>

    init(writers: Int) {
        var configuration = LogStoreConfiguration()
        configuration.blockRows = 50
        configuration.shardCount = 4
        store = LogStore(configuration)
        writing = Atomic(writers)
    }

    private var isWriting: Bool { writing.load(ordering: .relaxed) > 0 }

    /// Counts upwards in each of the writer's streams.
    func write(_ writer: Int) {
        for round in 0..<Exercise.rounds {
            let first = round * Exercise.rowsPerRound
            let rows = (0..<Exercise.streamCount).flatMap { stream in
                (first..<(first + Exercise.rowsPerRound)).map {
                    plainRow(
                        Int64($0), "\($0)",
                        stream: Labels([("writer", "\(writer)"), ("stream", "\(stream)")]))
                }
            }
            // The kernel seals a generation once all its records are applied; here the lock sees
            // to that.
            progress.withLock { progress in
                progress.sequence += 1
                _ = store.append(
                    LogBatch(rows), tenant: tenant, generation: progress.generation,
                    sequence: progress.sequence)
            }
        }
        writing.wrappingSubtract(1, ordering: .relaxed)
    }

    private func handle(_ draft: PartDraft) throws -> PartHandle {
        let (id, sequence) = progress.withLock { progress in
            progress.nextID += 1
            return (progress.nextID, progress.sequence)
        }
        return PartHandle(
            descriptor: PartDescriptor(
                id: id, signal: .logs, tenant: draft.tenant, day: draft.day, level: 0,
                minNanos: draft.minNanos, maxNanos: draft.maxNanos, rowCount: draft.rowCount,
                byteCount: UInt64(draft.bytes.count), lastSequence: sequence),
            reader: try PartReader(SharedBytes(draft.bytes), name: "\(id)"))
    }

    func sealAndMerge() throws {
        while isWriting {
            let old = progress.withLock { progress in
                progress.generation += 1
                return progress.generation - 1
            }
            let parts = try store.seal(generation: old).map(handle)
            store.sealed(generation: old, parts: parts)
            let inputs = progress.withLock { progress in
                progress.handles += parts
                return progress.handles
            }
            if inputs.count < 4 { continue }
            let merged = try store.merge(inputs, shouldStop: { false })
            let added = try merged.map(handle)
            store.replace(removed: inputs.map(\.descriptor.id), added: added)
            progress.withLock { $0.handles = added }
        }
    }

    /// Reads again and again; each stream must be 0, 1, 2, … without a gap, a repetition or a step
    /// back.
    func read() throws -> [String] {
        var problems: [String] = []
        var reads = 0
        let orders: [LogRequest.Order] = [.any, .oldestFirst, .newestFirst]
        repeat {
            let order = orders[reads % 3]
            for (stream, numbers) in try numbersByStream(order) {
                let ascending = order == .newestFirst ? numbers.reversed() : numbers
                if ascending != Array(0..<numbers.count) {
                    problems.append("\(stream) \(order): \(ascending.prefix(50))")
                }
            }
            reads += 1
        } while isWriting || reads < 3
        return problems
    }

    func numbersByStream(_ order: LogRequest.Order) throws -> [Labels: [Int]] {
        var seen: [Labels: [Int]] = [:]
        try store.read(
            LogRequest(tenant: tenant, matchers: [], range: .all, order: order), ReadContext()
        ) { batch in
            for row in batch.modelRows { seen[row.stream, default: []].append(Int(row.nanos)) }
            return true
        }
        return seen
    }
}

@Suite struct ConcurrencyTests {
    @Test(.timeLimit(.minutes(2)))
    func readersSeeEveryRowOnceWhileItMoves() async throws {
        let exercise = Exercise(writers: 3)
        let problems = try await withThrowingTaskGroup(of: [String].self) { group in
            for writer in 0..<3 {
                group.addTask {
                    exercise.write(writer)
                    return []
                }
            }
            group.addTask {
                try exercise.sealAndMerge()
                return []
            }
            group.addTask { try exercise.read() }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(problems.isEmpty, "\(problems.prefix(3))")
        let seen = try exercise.numbersByStream(.oldestFirst)
        #expect(seen.count == 3 * Exercise.streamCount)
        #expect(seen.values.allSatisfy { $0.count == Exercise.rounds * Exercise.rowsPerRound })
        #expect(exercise.store.openFaults.isEmpty)
    }
}
