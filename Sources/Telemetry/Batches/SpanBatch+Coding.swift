// SPDX-License-Identifier: Apache-2.0
// The form in which spans stand in the log.

import Base

/// Log-record form of a span batch, little-endian:
///
///     u8 version (1)
///     varint arenaCount, arena
///     varint n, n × resource: attributes, schemaURL, serviceName, serviceNamespace,
///                             serviceInstance (slices), varint droppedAttributes
///     varint n, n × scope: name, version, attributes, schemaURL (slices), varint dropped
///     varint rowCount, then the columns in the order of `SpanBatch`
///
/// A slice is varint offset, varint count. A column is its raw memory; the columns that are
/// usually empty (parents, status, states, flags, attributes, events, links, dropped counts) are
/// preceded by u8: 0 = all zero and left out, 1 = present.
extension SpanBatch {
    /// Most rows that are decoded: a request of 64 MiB cannot hold as many spans.
    package static let maxRows = 1 << 24

    /// Appends the log-record form. O(bytes).
    package func encode(into writer: inout ByteWriter) {
        writer.u8(1)
        writer.lengthPrefixed(arena)
        writer.varint(resources.count)
        for resource in resources {
            for slice in [
                resource.attributes, resource.schemaURL, resource.serviceName,
                resource.serviceNamespace, resource.serviceInstance,
            ] { writer.slice(slice) }
            writer.varint(UInt64(resource.droppedAttributes))
        }
        writer.varint(scopes.count)
        for scope in scopes {
            for slice in [scope.name, scope.version, scope.attributes, scope.schemaURL] {
                writer.slice(slice)
            }
            writer.varint(UInt64(scope.droppedAttributes))
        }
        writer.varint(rowCount)
        writer.memory(traceIDs)
        writer.memory(spanIDs)
        writer.sparse(parentIDs) { $0.isZero }
        writer.memory(rowResources)
        writer.memory(rowScopes)
        writer.memory(names)
        writer.memory(kinds)
        writer.memory(startNanos)
        writer.memory(endNanos)
        writer.sparse(statusCodes) { $0 == 0 }
        writer.sparse(statusMessages) { $0.isEmpty }
        writer.sparse(traceStates) { $0.isEmpty }
        writer.sparse(flags) { $0 == 0 }
        writer.sparse(attributes) { $0.isEmpty }
        writer.sparse(events) { $0.isEmpty }
        writer.sparse(links) { $0.isEmpty }
        writer.sparse(droppedAttributes) { $0 == 0 }
        writer.sparse(droppedEvents) { $0 == 0 }
        writer.sparse(droppedLinks) { $0 == 0 }
    }

    /// Decodes and checks the log-record form: every slice lies in the arena, every index points
    /// at something, every attribute, event and link list is well-formed.
    ///
    /// - Throws: `MalformedBytes` with the offset at which reading failed.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        guard try reader.u8() == 1 else { throw reader.malformed("span batch version 1") }
        arena = [UInt8](try reader.lengthPrefixed())
        guard arena.count <= Int(UInt32.max) else { throw reader.malformed("arena below 4 GiB") }
        try decodeSources(&reader)
        let n = try reader.length(limit: SpanBatch.maxRows, "number of spans")
        traceIDs = try reader.memory(n, of: TraceID.self)
        spanIDs = try reader.memory(n, of: SpanID.self)
        parentIDs = try reader.sparse(n, of: SpanID.self, zero: .zero)
        rowResources = try reader.memory(n, of: UInt32.self)
        rowScopes = try reader.memory(n, of: UInt32.self)
        names = try reader.memory(n, of: ByteSlice.self)
        kinds = try reader.memory(n, of: UInt8.self)
        startNanos = try reader.memory(n, of: Int64.self)
        endNanos = try reader.memory(n, of: Int64.self)
        statusCodes = try reader.sparse(n, of: UInt8.self, zero: 0)
        statusMessages = try reader.sparse(n, of: ByteSlice.self, zero: .empty)
        traceStates = try reader.sparse(n, of: ByteSlice.self, zero: .empty)
        flags = try reader.sparse(n, of: UInt32.self, zero: 0)
        attributes = try reader.sparse(n, of: ByteSlice.self, zero: .empty)
        events = try reader.sparse(n, of: ByteSlice.self, zero: .empty)
        links = try reader.sparse(n, of: ByteSlice.self, zero: .empty)
        droppedAttributes = try reader.sparse(n, of: UInt32.self, zero: 0)
        droppedEvents = try reader.sparse(n, of: UInt32.self, zero: 0)
        droppedLinks = try reader.sparse(n, of: UInt32.self, zero: 0)
        guard reader.isAtEnd else { throw reader.malformed("the end of the span batch") }
        try validate(reader)
    }

    private mutating func decodeSources(_ reader: inout ByteReader) throws(MalformedBytes) {
        // Every resource and scope takes more than one byte, so a count cannot exceed the rest.
        let resourceCount = try reader.length(limit: reader.remaining, "number of resources")
        for _ in 0..<resourceCount {
            var resource = Resource()
            resource.attributes = try reader.slice(in: arena.count)
            resource.schemaURL = try reader.slice(in: arena.count)
            resource.serviceName = try reader.slice(in: arena.count)
            resource.serviceNamespace = try reader.slice(in: arena.count)
            resource.serviceInstance = try reader.slice(in: arena.count)
            resource.droppedAttributes = try reader.u32Varint()
            resources.append(resource)
        }
        let scopeCount = try reader.length(limit: reader.remaining, "number of scopes")
        for _ in 0..<scopeCount {
            var scope = Scope()
            scope.name = try reader.slice(in: arena.count)
            scope.version = try reader.slice(in: arena.count)
            scope.attributes = try reader.slice(in: arena.count)
            scope.schemaURL = try reader.slice(in: arena.count)
            scope.droppedAttributes = try reader.u32Varint()
            scopes.append(scope)
        }
    }

    private func validate(_ reader: ByteReader) throws(MalformedBytes) {
        for index in rowResources where Int(index) >= resources.count {
            throw reader.malformed("resource index below \(resources.count), not \(index)")
        }
        for index in rowScopes where Int(index) >= scopes.count {
            throw reader.malformed("scope index below \(scopes.count), not \(index)")
        }
        for column in [names, statusMessages, traceStates, attributes, events, links] {
            for slice in column
            where Int(slice.offset) + Int(slice.count) > arena.count {
                throw reader.malformed("slice inside the arena")
            }
        }
        let checked = arena.withUnsafeBytes { all -> Result<Void, MalformedBytes> in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: all[slice.range])
            }
            do throws(MalformedBytes) {
                for resource in resources {
                    try AttributeCoding.check(bytes(resource.attributes))
                }
                for scope in scopes { try AttributeCoding.check(bytes(scope.attributes)) }
                for slice in attributes { try AttributeCoding.check(bytes(slice)) }
                for slice in events { try SpanEventCoding.check(bytes(slice)) }
                for slice in links { try SpanLinkCoding.check(bytes(slice)) }
                return .success(())
            } catch { return .failure(error) }
        }
        try checked.get()
    }
}

extension AttributeCoding {
    /// Walks a list and throws at the first byte that is not well-formed.
    package static func check(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            _ = try reader.lengthPrefixed()
            try skipValue(&reader)
        }
    }
}

extension SpanEventCoding {
    /// Walks a list and throws at the first byte that is not well-formed.
    package static func check(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            _ = try reader.i64()
            _ = try reader.u32Varint()
            _ = try reader.lengthPrefixed()
            try AttributeCoding.check(try reader.lengthPrefixed())
        }
    }
}

extension SpanLinkCoding {
    /// Walks a list and throws at the first byte that is not well-formed.
    package static func check(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            try reader.skip(28)
            _ = try reader.u32Varint()
            _ = try reader.lengthPrefixed()
            try AttributeCoding.check(try reader.lengthPrefixed())
        }
    }
}

// MARK: - Pieces

extension ByteWriter {
    fileprivate mutating func slice(_ slice: ByteSlice) {
        varint(UInt64(slice.offset))
        varint(UInt64(slice.count))
    }

    /// A column of plain integers or structs of them, as it lies in memory.
    fileprivate mutating func memory<T>(_ values: [T]) {
        values.withUnsafeBytes { raw($0) }
    }

    fileprivate mutating func sparse<T>(_ values: [T], _ isZero: (T) -> Bool) {
        guard !values.allSatisfy(isZero) else { return u8(0) }
        u8(1)
        memory(values)
    }
}

extension ByteReader {
    /// A varint of at most 32 bits.
    package mutating func u32Varint() throws(MalformedBytes) -> UInt32 {
        UInt32(truncatingIfNeeded: try length(limit: Int(UInt32.max), "integer of 32 bits"))
    }

    /// A slice that must lie inside an arena of `arenaCount` bytes.
    fileprivate mutating func slice(in arenaCount: Int) throws(MalformedBytes) -> ByteSlice {
        let offset = try length(limit: arenaCount, "slice offset")
        let count = try length(limit: arenaCount - offset, "slice length")
        return ByteSlice(offset: offset, count: count)
    }

    /// Only for types that are plain integers throughout: any bytes are a valid value.
    fileprivate mutating func memory<T>(
        _ n: Int, of type: T.Type
    ) throws(MalformedBytes) -> [T] {
        let source = try bytes(n * MemoryLayout<T>.stride)
        return [T](unsafeUninitializedCapacity: n) { buffer, initialized in
            if let base = source.baseAddress, n > 0 {
                UnsafeMutableRawBufferPointer(buffer).baseAddress?
                    .copyMemory(from: base, byteCount: source.count)
            }
            initialized = n
        }
    }

    fileprivate mutating func sparse<T>(
        _ n: Int, of type: T.Type, zero: T
    ) throws(MalformedBytes) -> [T] {
        switch try u8() {
        case 0: return [T](repeating: zero, count: n)
        case 1: return try memory(n, of: type)
        default: throw malformed("mark of an optional column")
        }
    }
}
