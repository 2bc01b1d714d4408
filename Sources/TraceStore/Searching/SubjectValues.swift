// SPDX-License-Identifier: Apache-2.0
// The values that a subject of a condition takes in spans.

import Base
import Telemetry

extension SpanCondition.Subject {
    /// Where the catalogue lists the values; nil when only the spans themselves know them.
    var catalogueKeys: [Catalogue.Key]? {
        switch self {
        case .attribute(.any, let name):
            [AttributeScope.span, .resource].map {
                Catalogue.Key(scope: $0.rawValue, name: Array(name.utf8))
            }
        case .attribute(let scope, let name):
            [Catalogue.Key(scope: scope.rawValue, name: Array(name.utf8))]
        case .intrinsic(.name): [Catalogue.Key(scope: Catalogue.nameScope, name: [])]
        case .intrinsic(.eventName): [Catalogue.Key(scope: Catalogue.eventNameScope, name: [])]
        case .intrinsic: nil
        }
    }

    /// Adds the encoded values that rows have.
    func collect(from batch: SpanBatch, into values: inout Set<[UInt8]>) {
        batch.arena.withUnsafeBytes { all in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: all[slice.range])
            }
            func add(_ text: ByteSlice) {
                if !text.isEmpty { values.insert(encodedString([UInt8](bytes(text)))) }
            }
            func add(_ number: Int64) { values.insert(encoded(UInt64(bitPattern: number), .int)) }
            func addList(_ list: UnsafeRawBufferPointer, _ wanted: String) {
                // A list that ends badly gives the values before its fault.
                try? AttributeCoding.forEach(in: list) { name, value in
                    if name.elementsEqual(wanted.utf8) { values.insert([UInt8](value)) }
                }
            }
            switch self {
            case .attribute(.event, _), .attribute(.link, _), .intrinsic(.eventName):
                // The catalogue code walks events and links; it keeps what it is asked for.
                var catalogue = Catalogue()
                catalogue.add(batch)
                for key in catalogueKeys ?? [] {
                    values.formUnion(catalogue.entries[key]?.values ?? [])
                }
            case .attribute(let scope, let name):
                if scope == .resource || scope == .any {
                    for i in batch.resources { addList(bytes(i.attributes), name) }
                }
                if scope == .instrumentation {
                    for i in batch.scopes { addList(bytes(i.attributes), name) }
                }
                if scope == .span || scope == .any {
                    for slice in batch.attributes { addList(bytes(slice), name) }
                }
            case .intrinsic(.name): for name in batch.names { add(name) }
            case .intrinsic(.statusMessage): for text in batch.statusMessages { add(text) }
            case .intrinsic(.status): for code in batch.statusCodes { add(Int64(code)) }
            case .intrinsic(.kind): for kind in batch.kinds { add(Int64(kind)) }
            case .intrinsic(.instrumentationName): for scope in batch.scopes { add(scope.name) }
            case .intrinsic(.instrumentationVersion):
                for scope in batch.scopes { add(scope.version) }
            // Unbounded by nature, or a matter of whole traces: nothing to complete.
            case .intrinsic: break
            }
        }
    }
}

/// Order of values in answers: by type, then by value.
func precedes(_ a: AttributeValue, _ b: AttributeValue) -> Bool {
    switch (a, b) {
    case (.string(let x), .string(let y)): x < y
    case (.int(let x), .int(let y)): x < y
    case (.double(let x), .double(let y)): x < y
    case (.bool(let x), .bool(let y)): !x && y
    default: rank(a) < rank(b)
    }
}

private func rank(_ value: AttributeValue) -> Int {
    switch value {
    case .empty: 0
    case .bool: 1
    case .int: 2
    case .double: 3
    case .string: 4
    case .bytes: 5
    case .array: 6
    case .map: 7
    }
}
