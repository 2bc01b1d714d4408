// SPDX-License-Identifier: Apache-2.0
// The smallest store that makes full use of the kernel.

import Base
import Storage
import Synchronization

/// Keys with times and bytes. A key that comes twice is a fault that the tests look for, so nothing
/// is dropped silently: `counts` says how often each key is visible.
final class ToyStore: SignalStore {
    struct Row: Sendable, Equatable, Comparable {
        var tenant: String
        var key: UInt64
        var nanos: Int64
        var value: [UInt8]
        static func < (a: Row, b: Row) -> Bool { (a.tenant, a.key) < (b.tenant, b.key) }
    }

    struct Refused: Error {}

    fileprivate struct State {
        var heads: [UInt64: [Row]] = [:]
        var headBytes = 0
        var parts: [UInt64: (handle: PartHandle, rows: [Row])] = [:]
        var failSeals = false
        var problems: [String] = []
        var missing = MissingParts()
        var missingIDs: Set<UInt64> = []
    }

    let signal: Signal
    private let state = Mutex(State())
    /// Sequences that replay has applied, as a real store would keep them to be idempotent.
    private let applied = Mutex<Set<UInt64>>([])

    init(_ signal: Signal = .logs) { self.signal = signal }

    // MARK: - What tests see

    /// Rows that readers would get.
    var rows: [Row] {
        state.withLock { state in
            (state.heads.values.flatMap { $0 } + state.parts.values.flatMap { $0.rows }).sorted()
        }
    }
    var partCount: Int { state.withLock { $0.parts.count } }
    /// Parts that readers are shown, by id.
    var descriptors: [PartDescriptor] {
        state.withLock { $0.parts.values.map(\.handle.descriptor).sorted { $0.id < $1.id } }
    }
    var generations: [UInt64] { state.withLock { $0.heads.keys.sorted() } }
    /// What a reader of everything would be told.
    func missing(tenant: String = "t") -> [PartCorruption] {
        state.withLock { $0.missing.faults(tenant: tenant, from: .min, to: .max) }
    }
    var problems: [String] { state.withLock { $0.problems } }
    func failSeals(_ fail: Bool) { state.withLock { $0.failSeals = fail } }

    func append(_ rows: [Row], generation: UInt64) {
        state.withLock { state in
            state.heads[generation, default: []] += rows
            state.headBytes += rows.reduce(0) { $0 + $1.value.count + 32 }
        }
    }

    // MARK: - Coding

    static func encode(_ rows: [Row], tenants: Bool = false) -> [UInt8] {
        var out = ByteWriter()
        out.varint(rows.count)
        for row in rows {
            out.u64(row.key)
            out.i64(row.nanos)
            out.lengthPrefixed(row.value)
        }
        return out.bytes
    }

    static func decode(_ bytes: UnsafeRawBufferPointer, tenant: String) throws -> [Row] {
        var reader = ByteReader(bytes)
        var rows: [Row] = []
        for _ in 0..<(try reader.length(limit: reader.remaining, "rows")) {
            rows.append(
                Row(
                    tenant: tenant, key: try reader.u64(), nanos: try reader.i64(),
                    value: [UInt8](try reader.lengthPrefixed())))
        }
        guard reader.isAtEnd else { throw reader.malformed("the end") }
        return rows
    }

    private static func draft(_ rows: [Row], _ signal: Signal) -> PartDraft? {
        guard let first = rows.first else { return nil }
        var writer = PartWriter(signal: signal)
        writer.add(kind: 1, encode(rows.sorted()))
        return PartDraft(
            tenant: first.tenant, day: utcDay(ofNanos: first.nanos),
            minNanos: rows.reduce(Int64.max) { min($0, $1.nanos) },
            maxNanos: rows.reduce(Int64.min) { max($0, $1.nanos) }, rowCount: UInt64(rows.count),
            bytes: writer.finish())
    }

    private func rows(of part: PartHandle) throws -> [Row] {
        let deleted = Set(part.descriptor.deletions)
        return try part.reader.read(1).withUnsafeBytes {
            try ToyStore.decode($0, tenant: part.descriptor.tenant)
        }.filter { !deleted.contains(UInt8(truncatingIfNeeded: $0.key)) }
    }

    /// Resolves a deletion: a byte per key that is deleted, in the parts that have it.
    static func deletions(
        _ keys: Set<UInt64>, _ parts: [PartHandle]
    ) throws -> [UInt64: [UInt8]] {
        var result: [UInt64: [UInt8]] = [:]
        for part in parts {
            let rows = try part.reader.read(1).withUnsafeBytes {
                try decode($0, tenant: part.descriptor.tenant)
            }
            let found = rows.map(\.key).filter { keys.contains($0) }
                .map { UInt8(truncatingIfNeeded: $0) }
            if found.isEmpty { continue }
            result[part.descriptor.id] = Set(part.descriptor.deletions + found).sorted()
        }
        return result
    }

    // MARK: - SignalStore

    func open(_ part: PartHandle) throws {
        let rows = try rows(of: part)
        state.withLock { $0.parts[part.descriptor.id] = (part, rows) }
    }

    func replay(
        _ payload: UnsafeRawBufferPointer, tenant: String, generation: UInt64, sequence: UInt64
    ) throws {
        let rows = try ToyStore.decode(payload, tenant: tenant)
        guard applied.withLock({ $0.insert(sequence).inserted }) else { return }
        append(rows, generation: generation)
    }

    func missing(_ part: PartDescriptor, _ fault: PartCorruption) {
        state.withLock { state in
            state.missing.add(part, fault)
            state.missingIDs.insert(part.id)
        }
    }

    var openFaults: [PartCorruption] { [] }
    var headBytes: Int { state.withLock { $0.headBytes } }

    func seal(generation: UInt64) throws -> [PartDraft] {
        let (rows, fail) = state.withLock { ($0.heads[generation] ?? [], $0.failSeals) }
        if fail { throw Refused() }
        var groups: [String: [Row]] = [:]
        for row in rows {
            groups["\(row.tenant)/\(utcDay(ofNanos: row.nanos))", default: []].append(row)
        }
        return groups.sorted { $0.key < $1.key }.compactMap { ToyStore.draft($0.value, signal) }
    }

    func sealed(generation: UInt64, parts: [PartHandle]) {
        let opened = parts.map { part in (part, Result { try rows(of: part) }) }
        state.withLock { state in
            let head = state.heads.removeValue(forKey: generation) ?? []
            state.headBytes -= head.reduce(0) { $0 + $1.value.count + 32 }
            for (part, rows) in opened { state.show(part, rows) }
        }
    }

    func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> [PartDraft] {
        if shouldStop() { throw CancellationError() }
        let draft = ToyStore.draft(try parts.flatMap { try rows(of: $0) }, signal)
        return draft.map { [$0] } ?? []
    }

    func replace(removed: [UInt64], added: [PartHandle]) {
        let opened = added.map { part in (part, Result { try rows(of: part) }) }
        state.withLock { state in
            state.missing.remove(removed)
            for id in removed where state.parts.removeValue(forKey: id) == nil {
                if state.missingIDs.remove(id) != nil { continue }
                state.problems.append("part \(id) was removed but never shown")
            }
            for (part, rows) in opened { state.show(part, rows) }
        }
    }
}

extension ToyStore.State {
    fileprivate mutating func show(_ part: PartHandle, _ rows: Result<[ToyStore.Row], any Error>) {
        do {
            parts[part.descriptor.id] = (part, try rows.get())
        } catch {
            problems.append("part \(part.descriptor.id): \(error)")
        }
    }
}
