// SPDX-License-Identifier: Apache-2.0
// Collecting rows of other batches into a self-contained one.

import Base
import Telemetry

/// Copies rows out of batches, with the resources and scopes they need, each once.
struct SpanGatherer: Sendable {
    private(set) var batch = SpanBatch()
    private var resourcesByHash: [UInt64: [UInt32]] = [:]
    private var scopesByHash: [UInt64: [UInt32]] = [:]
    private var namesByHash: [UInt64: ByteSlice] = [:]
    /// Index + 1 in `batch` of each resource and scope of a source; 0 = not copied yet.
    private struct SourceMap {
        var resources: [UInt32] = []
        var scopes: [UInt32] = []
    }
    private var maps: [SourceMap] = []

    /// Says that the rows now added under a slot come from this batch. Slots are small numbers by
    /// which a caller that takes turns between several sources tells them apart.
    mutating func begin(_ source: SpanBatch, slot: Int = 0) {
        while maps.count <= slot { maps.append(SourceMap()) }
        maps[slot].resources = [UInt32](repeating: 0, count: source.resources.count)
        maps[slot].scopes = [UInt32](repeating: 0, count: source.scopes.count)
    }

    /// Bytes of memory, roughly.
    var byteCount: Int { batch.arena.count + batch.rowCount * SpanBatch.bytesPerRow }

    /// Copies one row of the batch given to `begin`.
    mutating func add(_ source: SpanBatch, _ index: Int, slot: Int = 0) {
        var row = source.row(index)
        source.arena.withUnsafeBytes { bytes in
            row.resource = resource(source, Int(row.resource), bytes, slot)
            row.scope = scope(source, Int(row.scope), bytes, slot)
            row.name = keep(name: row.name, bytes)
            row.statusMessage = keep(row.statusMessage, bytes)
            row.traceState = keep(row.traceState, bytes)
            row.attributes = keep(row.attributes, bytes)
            row.events = keep(row.events, bytes)
            row.links = keep(row.links, bytes)
        }
        batch.add(row)
        if !source.selfTimeNanos.isEmpty {
            batch.selfTimeNanos.append(source.selfTimeNanos[index])
            batch.criticalPathNanos.append(source.criticalPathNanos[index])
        }
    }

    /// Copies the resource and the scope of a row of the batch given to `begin`, no row; returns
    /// their numbers in `batch`.
    mutating func addSources(
        of row: Int, _ source: UnsafePointer<SpanBatch>, slot: Int
    ) -> (resource: UInt32, scope: UInt32) {
        let resource = Int(source.pointee.rowResources[row])
        let scope = Int(source.pointee.rowScopes[row])
        let known = (maps[slot].resources[resource], maps[slot].scopes[scope])
        if known.0 != 0, known.1 != 0 { return (known.0 - 1, known.1 - 1) }
        return source.pointee.arena.withUnsafeBytes { bytes in
            (
                self.resource(source.pointee, resource, bytes, slot),
                self.scope(source.pointee, scope, bytes, slot)
            )
        }
    }

    /// Copies all resources and scopes of the batch given to `begin`, no row; returns their numbers in
    /// `batch`.
    mutating func addAllSources(
        _ source: SpanBatch, slot: Int
    ) -> (resources: [UInt32], scopes: [UInt32]) {
        source.arena.withUnsafeBytes { bytes in
            (
                source.resources.indices.map { resource(source, $0, bytes, slot) },
                source.scopes.indices.map { scope(source, $0, bytes, slot) }
            )
        }
    }

    /// Names repeat: each is kept once.
    private mutating func keep(
        name slice: ByteSlice, _ all: UnsafeRawBufferPointer
    ) -> ByteSlice {
        if slice.isEmpty { return .empty }
        let text = UnsafeRawBufferPointer(rebasing: all[slice.range])
        let hash = hash64(text)
        if let known = namesByHash[hash],
            batch.arena.withSlice(known, { equalBytes($0, text) })
        {
            return known
        }
        let kept = batch.arena.keep(text)
        namesByHash[hash] = kept
        return kept
    }

    private mutating func keep(_ slice: ByteSlice, _ all: UnsafeRawBufferPointer) -> ByteSlice {
        slice.isEmpty
            ? .empty : batch.arena.keep(UnsafeRawBufferPointer(rebasing: all[slice.range]))
    }

    private mutating func resource(
        _ source: SpanBatch, _ index: Int, _ all: UnsafeRawBufferPointer, _ slot: Int
    ) -> UInt32 {
        if maps[slot].resources[index] != 0 { return maps[slot].resources[index] - 1 }
        let resource = source.resources[index]
        let slices = resource.slices
        let hash = hashOf(slices, all, seed: UInt64(resource.droppedAttributes))
        let known = resourcesByHash[hash]?.first {
            let other = batch.resources[Int($0)]
            return other.droppedAttributes == resource.droppedAttributes
                && equal(slices, all, other.slices)
        }
        if let known {
            maps[slot].resources[index] = known + 1
            return known
        }
        var copy = SpanBatch.Resource()
        copy.attributes = keep(resource.attributes, all)
        copy.schemaURL = keep(resource.schemaURL, all)
        copy.serviceName = keep(resource.serviceName, all)
        copy.serviceNamespace = keep(resource.serviceNamespace, all)
        copy.serviceInstance = keep(resource.serviceInstance, all)
        copy.droppedAttributes = resource.droppedAttributes
        let added = UInt32(batch.resources.count)
        batch.resources.append(copy)
        resourcesByHash[hash, default: []].append(added)
        maps[slot].resources[index] = added + 1
        return added
    }

    private mutating func scope(
        _ source: SpanBatch, _ index: Int, _ all: UnsafeRawBufferPointer, _ slot: Int
    ) -> UInt32 {
        if maps[slot].scopes[index] != 0 { return maps[slot].scopes[index] - 1 }
        let scope = source.scopes[index]
        let slices = scope.slices
        let hash = hashOf(slices, all, seed: UInt64(scope.droppedAttributes))
        let known = scopesByHash[hash]?.first {
            let other = batch.scopes[Int($0)]
            return other.droppedAttributes == scope.droppedAttributes
                && equal(slices, all, other.slices)
        }
        if let known {
            maps[slot].scopes[index] = known + 1
            return known
        }
        var copy = SpanBatch.Scope()
        copy.name = keep(scope.name, all)
        copy.version = keep(scope.version, all)
        copy.attributes = keep(scope.attributes, all)
        copy.schemaURL = keep(scope.schemaURL, all)
        copy.droppedAttributes = scope.droppedAttributes
        let added = UInt32(batch.scopes.count)
        batch.scopes.append(copy)
        scopesByHash[hash, default: []].append(added)
        maps[slot].scopes[index] = added + 1
        return added
    }

    private func equal(
        _ slices: [ByteSlice], _ all: UnsafeRawBufferPointer, _ others: [ByteSlice]
    ) -> Bool {
        batch.arena.withUnsafeBytes { mine in
            zip(slices, others).allSatisfy { a, b in
                equalBytes(
                    UnsafeRawBufferPointer(rebasing: all[a.range]),
                    UnsafeRawBufferPointer(rebasing: mine[b.range]))
            }
        }
    }
}

private func hashOf(
    _ slices: [ByteSlice], _ all: UnsafeRawBufferPointer, seed: UInt64
) -> UInt64 {
    slices.reduce(seed) { hash64(UnsafeRawBufferPointer(rebasing: all[$1.range]), seed: $0) }
}

extension SpanBatch {
    /// Memory of the columns per row, without the arena.
    static let bytesPerRow = 128
}

extension SpanBatch.Resource {
    fileprivate var slices: [ByteSlice] {
        [attributes, schemaURL, serviceName, serviceNamespace, serviceInstance]
    }
}

extension SpanBatch.Scope {
    fileprivate var slices: [ByteSlice] { [name, version, attributes, schemaURL] }
}
