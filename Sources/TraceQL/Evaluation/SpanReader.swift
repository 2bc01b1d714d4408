// SPDX-License-Identifier: Apache-2.0
// Reads values out of the rows of a batch.

import Base
import Telemetry

/// Spans of a batch as expressions see them. Valid while the batch's arena is borrowed.
struct SpanReader {
    let batch: SpanBatch
    let arena: UnsafeRawBufferPointer
    /// The shape of the trace, when the batch is a whole one.
    let trace: TraceShape?

    func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: arena[slice.range])
    }

    func text(_ slice: ByteSlice) -> String { String(decoding: bytes(slice), as: UTF8.self) }

    func duration(_ row: Int) -> Int64 {
        let (nanos, overflow) = batch.endNanos[row].subtractingReportingOverflow(
            batch.startNanos[row])
        return overflow ? 0 : max(0, nanos)
    }

    // MARK: expressions

    func value(_ expression: CompiledExpression, _ row: Int) -> SpanValue {
        switch expression {
        case .constant(let value, let text): return SpanValue(value, text: text)
        case .attribute(let attribute, let name):
            return value(attribute, name: name.buffer, row)
        case .not(let inner):
            guard case .bool(let flag) = value(inner, row) else { return .bool(false) }
            return .bool(!flag)
        case .negate(let inner):
            switch value(inner, row) {
            case .int(let number): return .int(0 &- number)
            case .float(let number): return .float(-number)
            case .duration(let nanos): return .duration(0 &- nanos)
            default: return .null
            }
        case .isRoot(let isRoot): return .bool(batch.parentIDs[row].isZero == isRoot)
        case .both(let left, let right):
            return .bool(value(left, row).isTrue && value(right, row).isTrue)
        case .either(let left, let right):
            return .bool(value(left, row).isTrue || value(right, row).isTrue)
        case .exists(let inner, let isNegated): return .bool(value(inner, row).isNull == isNegated)
        case .compare(let operation, let left, let right, let pattern):
            return .bool(
                SpanValue.compare(operation, value(left, row), value(right, row), pattern))
        case .arithmetic(let operation, let left, let right):
            guard let a = value(left, row).numeric, let b = value(right, row).numeric,
                let result = Arithmetic.apply(operation, a, b)
            else { return .null }
            return SpanValue(result, text: nil)
        }
    }

    // MARK: attributes

    func value(_ attribute: Attribute, name: UnsafeRawBufferPointer, _ row: Int) -> SpanValue {
        if let intrinsic = attribute.intrinsic { return value(intrinsic, row) }
        switch attribute.scope {
        case .span: return find(name, in: batch.attributes[row])
        case .resource: return find(name, in: resource(row).attributes)
        case .any:
            let own = find(name, in: batch.attributes[row])
            return own.isNull ? find(name, in: resource(row).attributes) : own
        case .instrumentation: return find(name, in: scope(row).attributes)
        case .event:
            var found = SpanValue.null
            forEachEvent(row) { _, _, attributes in
                found.append(find(name, in: attributes))
            }
            return found
        case .link:
            var found = SpanValue.null
            forEachLink(row) { _, _, attributes in found.append(find(name, in: attributes)) }
            return found
        }
    }

    private func resource(_ row: Int) -> SpanBatch.Resource {
        batch.resources[Int(batch.rowResources[row])]
    }

    private func scope(_ row: Int) -> SpanBatch.Scope { batch.scopes[Int(batch.rowScopes[row])] }

    func serviceName(_ row: Int) -> String { text(resource(row).serviceName) }

    private func find(_ name: UnsafeRawBufferPointer, in slice: ByteSlice) -> SpanValue {
        find(name, in: bytes(slice))
    }

    /// Value of the first attribute of that name.
    private func find(
        _ name: UnsafeRawBufferPointer, in list: UnsafeRawBufferPointer
    ) -> SpanValue {
        var reader = ByteReader(list)
        while !reader.isAtEnd {
            guard let key = try? reader.lengthPrefixed() else { return .null }
            if equalBytes(key, name) { return SpanValue(encoded: &reader) }
            do { try AttributeCoding.skipValue(&reader) } catch { return .null }
        }
        return .null
    }

    // Readers check what they hand out; of a list that still does not decode the front counts.

    /// Events in order, borrowed from the batch.
    private func forEachEvent(
        _ row: Int,
        _ body: (_ nanos: Int64, _ name: UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) {
        let slice = batch.events[row]
        if slice.isEmpty { return }
        var reader = ByteReader(bytes(slice))
        do throws(MalformedBytes) {
            while !reader.isAtEnd {
                let nanos = try reader.i64()
                _ = try reader.varint()
                let name = try reader.lengthPrefixed()
                body(nanos, name, try reader.lengthPrefixed())
            }
        } catch { return }
    }

    /// Links in order, borrowed from the batch.
    private func forEachLink(
        _ row: Int, _ body: (TraceID, SpanID, UnsafeRawBufferPointer) -> Void
    ) {
        let slice = batch.links[row]
        if slice.isEmpty { return }
        var reader = ByteReader(bytes(slice))
        do throws(MalformedBytes) {
            while !reader.isAtEnd {
                let traceID = TraceID(high: try reader.u64(), low: try reader.u64())
                let spanID = SpanID(try reader.u64())
                _ = try reader.u32()
                _ = try reader.varint()
                _ = try reader.lengthPrefixed()
                body(traceID, spanID, try reader.lengthPrefixed())
            }
        } catch { return }
    }

    /// The attribute lists of a span, its resource, scope, events and links.
    private func forEachList(
        _ row: Int, _ body: (AttributeScope, UnsafeRawBufferPointer) throws -> Void
    ) rethrows {
        try body(.span, bytes(batch.attributes[row]))
        try body(.resource, bytes(resource(row).attributes))
        try body(.instrumentation, bytes(scope(row).attributes))
        var lists: [(AttributeScope, UnsafeRawBufferPointer)] = []
        forEachEvent(row) { lists.append((.event, $2)) }
        forEachLink(row) { lists.append((.link, $2)) }
        for (scope, list) in lists { try body(scope, list) }
    }

    /// Calls `body` with the key of each attribute.
    func forEachKey(_ row: Int, _ body: (AttributeScope, String) -> Void) throws {
        try forEachList(row) { scope, list in
            try AttributeCoding.forEach(in: list) { key, _ in
                body(scope, String(decoding: key, as: UTF8.self))
            }
        }
    }

    /// Calls `body` with each attribute, as often as it is there.
    func forEachAttribute(
        _ row: Int, _ body: (AttributeScope, UnsafeRawBufferPointer, SpanValue) throws -> Void
    ) throws {
        try forEachList(row) { scope, list in
            try AttributeCoding.forEach(in: list) { key, value in
                var reader = ByteReader(value)
                try body(scope, key, SpanValue(encoded: &reader))
            }
        }
    }

    // MARK: intrinsics

    func value(_ intrinsic: Intrinsic, _ row: Int) -> SpanValue {
        switch intrinsic {
        case .duration: return .duration(duration(row))
        case .name: return .text(bytes(batch.names[row]))
        case .status: return .status(Int64(batch.statusCodes[row]))
        case .statusMessage: return .text(bytes(batch.statusMessages[row]))
        case .kind: return .kind(Int64(batch.kinds[row]))
        case .traceID: return .string(batch.traceIDs[row].description)
        case .spanID: return .string(batch.spanIDs[row].description)
        case .parentID:
            return .string(batch.parentIDs[row].isZero ? "" : batch.parentIDs[row].description)
        case .instrumentationName: return .text(bytes(scope(row).name))
        case .instrumentationVersion: return .text(bytes(scope(row).version))
        case .eventName:
            var found = SpanValue.null
            forEachEvent(row) { _, name, _ in found.append(.text(name)) }
            return found
        case .eventTimeSinceStart:
            var found = SpanValue.null
            forEachEvent(row) { nanos, _, _ in
                let (since, overflow) = nanos.subtractingReportingOverflow(batch.startNanos[row])
                if !overflow { found.append(.duration(since)) }
            }
            return found
        case .linkTraceID:
            var found = SpanValue.null
            forEachLink(row) { traceID, _, _ in found.append(.string(traceID.description)) }
            return found
        case .linkSpanID:
            var found = SpanValue.null
            forEachLink(row) { _, spanID, _ in found.append(.string(spanID.description)) }
            return found
        case .rootName:
            guard let root = trace?.root else { return .null }
            return .text(bytes(batch.names[root]))
        case .rootServiceName:
            guard let root = trace?.root else { return .null }
            return .text(bytes(resource(root).serviceName))
        case .traceDuration: return trace.map { .duration($0.durationNanos) } ?? .null
        case .childCount: return trace.map { .int(Int64($0.childCounts[row])) } ?? .null
        case .nestedSetLeft: return trace.map { .int($0.left[row]) } ?? .null
        case .nestedSetRight: return trace.map { .int($0.right[row]) } ?? .null
        case .nestedSetParent:
            if batch.parentIDs[row].isZero { return .int(-1) }
            return trace.map { shape in
                .int(shape.parent(row).map { shape.left[$0] } ?? 0)
            } ?? .null
        case .parent: return .null
        }
    }
}
