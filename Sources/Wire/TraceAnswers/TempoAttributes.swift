// SPDX-License-Identifier: Apache-2.0
// Named values of answers as OTLP's `KeyValue`.

import Base
import Telemetry

/// Attributes of an answer in order, each a `KeyValue` of OTLP.
package typealias NamedValues = [(name: String, value: AttributeValue)]

/// The list in `AttributeCoding`.
private func encoded(_ values: NamedValues) -> [UInt8] {
    var list = ByteWriter()
    for (name, value) in values { AttributeCoding.encode(name, value, into: &list) }
    return list.bytes
}

extension JSONWriter {
    /// Writes an array of `KeyValue`.
    mutating func keyValues(_ values: NamedValues) throws(MalformedBytes) {
        try encoded(values).readBytes { (list) throws(MalformedBytes) in
            try OTLPAttributes.write(list: list, into: &self)
        }
    }
}

extension ProtobufWriter {
    /// Writes repeated `KeyValue` messages.
    mutating func keyValues(_ field: UInt32, _ values: NamedValues) throws(MalformedBytes) {
        try encoded(values).readBytes { (list) throws(MalformedBytes) in
            try OTLPAttributes.write(list: list, field: field, into: &self)
        }
    }
}
