// SPDX-License-Identifier: Apache-2.0
// Rows of a span batch as OTLP nests them.

import Base
import Telemetry

/// Rows of one resource, by scope.
struct ResourceGroup {
    var resource: Int
    var scopes: [ScopeGroup]
}

/// Rows of one scope under one resource.
struct ScopeGroup {
    var scope: Int
    var rows: [Int]
}

extension SpanBatch {
    /// Rows by resource and scope, both in the batch's order; rows keep their order. O(n log n).
    func groupedByResource() -> [ResourceGroup] {
        let order = (0..<rowCount).sorted {
            (rowResources[$0], rowScopes[$0], $0) < (rowResources[$1], rowScopes[$1], $1)
        }
        var groups: [ResourceGroup] = []
        for row in order {
            let resource = Int(rowResources[row]), scope = Int(rowScopes[row])
            if groups.last?.resource != resource {
                groups.append(ResourceGroup(resource: resource, scopes: []))
            }
            let last = groups.count - 1
            if groups[last].scopes.last?.scope != scope {
                groups[last].scopes.append(ScopeGroup(scope: scope, rows: []))
            }
            groups[last].scopes[groups[last].scopes.count - 1].rows.append(row)
        }
        return groups
    }
}

extension Array where Element == UInt8 {
    /// `withUnsafeBytes` that keeps the type of what is thrown.
    func readBytes<E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        let result: Result<Void, E> = withUnsafeBytes { bytes in
            do throws(E) {
                try body(bytes)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// `withSlice` that keeps the type of what is thrown.
    func readSlice<E: Error>(
        _ slice: ByteSlice, _ body: (UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        let result: Result<Void, E> = withSlice(slice) { bytes in
            do throws(E) {
                try body(bytes)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}
