// SPDX-License-Identifier: Apache-2.0
// The conditions of a search applied to rows in memory.

import Base
import Telemetry

/// All conditions of one search.
struct SpanFilter: Sendable {
    let tests: [SpanTest]
    let matchAll: Bool
    let range: NanosRange

    init(_ request: SpanRequest) {
        tests = request.conditions.map(SpanTest.init)
        matchAll = request.matchAll
        range = request.range
    }

    /// Rows of a batch that may match, ascending.
    func rows(of batch: SpanBatch) -> [Int] {
        batch.arena.withUnsafeBytes { all in
            let resources = tests.map { test in
                batch.resources.map { test.mayMatch(resource: $0, all) }
            }
            let scopes = tests.map { test in
                batch.scopes.map { test.mayMatch(scope: $0, all) }
            }
            return (0..<batch.rowCount).filter { row in
                guard range.contains(batch.startNanos[row]) else { return false }
                if tests.isEmpty { return true }
                for (index, test) in tests.enumerated() {
                    let hit = test.mayMatch(
                        batch, row, all,
                        resource: resources[index][Int(batch.rowResources[row])],
                        scope: scopes[index][Int(batch.rowScopes[row])])
                    if hit != matchAll { return hit }
                }
                return matchAll
            }
        }
    }
}

extension SpanTest {
    /// Whether spans of a resource may match as far as the resource decides; true for conditions
    /// that are not about resources.
    func mayMatch(
        resource: SpanBatch.Resource, _ all: UnsafeRawBufferPointer
    ) -> Bool {
        switch subject {
        case .attribute(.resource, let key), .attribute(.any, let key):
            matches(
                list: UnsafeRawBufferPointer(rebasing: all[resource.attributes.range]), key: key)
        case .attribute, .intrinsic: true
        }
    }

    func mayMatch(scope: SpanBatch.Scope, _ all: UnsafeRawBufferPointer) -> Bool {
        func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: all[slice.range])
        }
        return switch subject {
        case .attribute(.instrumentation, let key):
            matches(list: bytes(scope.attributes), key: key)
        case .intrinsic(.instrumentationName): matches(string: bytes(scope.name))
        case .intrinsic(.instrumentationVersion): matches(string: bytes(scope.version))
        case .attribute, .intrinsic: true
        }
    }

    /// Whether a row may match, given what its resource and scope say.
    fileprivate func mayMatch(
        _ batch: SpanBatch, _ row: Int, _ all: UnsafeRawBufferPointer, resource: Bool, scope: Bool
    ) -> Bool {
        func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: all[slice.range])
        }
        switch subject {
        case .attribute(.resource, _): return resource
        case .attribute(.instrumentation, _), .intrinsic(.instrumentationName),
            .intrinsic(.instrumentationVersion):
            return scope
        case .attribute(.any, let key):
            return resource || matches(list: bytes(batch.attributes[row]), key: key)
        case .attribute(.span, let key):
            return matches(list: bytes(batch.attributes[row]), key: key)
        case .attribute(.event, _), .attribute(.link, _): return true
        case .intrinsic(let intrinsic):
            return mayMatch(
                intrinsic, duration: batch.endNanos[row] &- batch.startNanos[row],
                name: bytes(batch.names[row]), kind: batch.kinds[row],
                status: batch.statusCodes[row], message: bytes(batch.statusMessages[row]),
                traceID: batch.traceIDs[row], spanID: batch.spanIDs[row],
                parentID: batch.parentIDs[row])
        }
    }

    /// Tests a property that every span has; those of the whole trace are not decided here.
    func mayMatch(
        _ intrinsic: SpanIntrinsic, duration: Int64, name: UnsafeRawBufferPointer, kind: UInt8,
        status: UInt8, message: UnsafeRawBufferPointer, traceID: TraceID, spanID: SpanID,
        parentID: SpanID
    ) -> Bool {
        switch intrinsic {
        case .duration: matches(int: duration)
        case .name: matches(string: name)
        case .kind: matches(int: Int64(kind))
        case .status: matches(int: Int64(status))
        case .statusMessage: matches(string: message)
        case .traceID: matches(string: Array(traceID.description.utf8))
        case .spanID: matches(string: Array(spanID.description.utf8))
        // A root's parent may be asked for as zeros or as nothing.
        case .parentID: parentID.isZero || matches(string: Array(parentID.description.utf8))
        case .rootName, .rootService, .traceDuration, .eventName, .instrumentationName,
            .instrumentationVersion:
            true
        }
    }
}
