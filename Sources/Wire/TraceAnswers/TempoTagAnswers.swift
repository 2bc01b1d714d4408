// SPDX-License-Identifier: Apache-2.0
// Tempo's answers about attribute names and values.

import Base

/// Tempo's `SearchTagsResponse` and `SearchTagsV2Response`.
package struct TempoTagsAnswer: Sendable {
    package struct Scope: Sendable, Equatable {
        package var name: String
        package var tags: [String]
        package init(name: String, tags: [String]) {
            self.name = name
            self.tags = tags
        }
    }
    package var scopes: [Scope]
    package var statistics: TempoStatistics

    package init(scopes: [Scope], statistics: TempoStatistics) {
        self.scopes = scopes
        self.statistics = statistics
    }

    /// Names of all scopes, ascending, each once: what the first version has.
    private var names: [String] { Set(scopes.flatMap(\.tags)).sorted() }

    package func json() -> [UInt8] {
        statistics.json("tagNames", names) { $1.string($0) }
    }

    package func jsonV2() -> [UInt8] {
        statistics.json("scopes", scopes) { scope, json in
            json.beginObject()
            json.member("name", scope.name)
            json.key("tags")
            json.strings(scope.tags)
            json.endObject()
        }
    }

    package func protobuf() -> [UInt8] {
        statistics.protobuf(names) { $1.string(1, $0, always: true) }
    }

    package func protobufV2() -> [UInt8] {
        statistics.protobuf(scopes) { scope, writer in
            writer.message(1) { writer in
                writer.string(1, scope.name)
                for tag in scope.tags { writer.string(2, tag, always: true) }
            }
        }
    }
}

/// Tempo's `SearchTagValuesResponse` and `SearchTagValuesV2Response`.
package struct TempoTagValuesAnswer: Sendable {
    package struct Value: Sendable, Equatable {
        /// `string`, `int`, `float`, `bool`, `duration` or `keyword`.
        package var type: String
        package var text: String
        package init(type: String, text: String) {
            self.type = type
            self.text = text
        }
    }
    package var values: [Value]
    package var statistics: TempoStatistics

    package init(values: [Value], statistics: TempoStatistics) {
        self.values = values
        self.statistics = statistics
    }

    package func json() -> [UInt8] {
        statistics.json("tagValues", values) { $1.string($0.text) }
    }

    package func jsonV2() -> [UInt8] {
        statistics.json("tagValues", values) { value, json in
            json.beginObject()
            json.member("type", value.type)
            json.member("value", value.text)
            json.endObject()
        }
    }

    package func protobuf() -> [UInt8] {
        statistics.protobuf(values) { $1.string(1, $0.text, always: true) }
    }

    package func protobufV2() -> [UInt8] {
        statistics.protobuf(values) { value, writer in
            writer.message(1) { writer in
                writer.string(1, value.type)
                writer.string(2, value.text)
            }
        }
    }
}

extension TempoStatistics {
    /// An answer of one list, and what it cost.
    fileprivate func json<Entry>(
        _ name: String, _ entries: [Entry], _ write: (Entry, inout JSONWriter) -> Void
    ) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key(name)
        json.beginArray()
        for entry in entries { write(entry, &json) }
        json.endArray()
        json.key("metrics")
        writeMetadata(into: &json)
        json.endObject()
        return json.bytes
    }

    /// The same as a message: entries are field 1.
    fileprivate func protobuf<Entry>(
        _ entries: [Entry], _ write: (Entry, inout ProtobufWriter) -> Void
    ) -> [UInt8] {
        var writer = ProtobufWriter()
        for entry in entries { write(entry, &writer) }
        encodeMetadata(2, into: &writer)
        return writer.bytes
    }
}

extension JSONWriter {
    /// Writes an array of strings.
    package mutating func strings(_ texts: some Sequence<String>) {
        beginArray()
        for text in texts { string(text) }
        endArray()
    }
}
