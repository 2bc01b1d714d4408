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
        var json = JSONWriter()
        json.beginObject()
        json.key("tagNames")
        json.strings(names)
        json.key("metrics")
        statistics.writeMetadata(into: &json)
        json.endObject()
        return json.bytes
    }

    package func jsonV2() -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("scopes")
        json.beginArray()
        for scope in scopes {
            json.beginObject()
            json.member("name", scope.name)
            json.key("tags")
            json.strings(scope.tags)
            json.endObject()
        }
        json.endArray()
        json.key("metrics")
        statistics.writeMetadata(into: &json)
        json.endObject()
        return json.bytes
    }

    package func protobuf() -> [UInt8] {
        var writer = ProtobufWriter()
        for name in names { writer.string(1, name, always: true) }
        statistics.encodeMetadata(2, into: &writer)
        return writer.bytes
    }

    package func protobufV2() -> [UInt8] {
        var writer = ProtobufWriter()
        for scope in scopes {
            writer.message(1) { writer in
                writer.string(1, scope.name)
                for tag in scope.tags { writer.string(2, tag, always: true) }
            }
        }
        statistics.encodeMetadata(2, into: &writer)
        return writer.bytes
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
        var json = JSONWriter()
        json.beginObject()
        json.key("tagValues")
        json.strings(values.map(\.text))
        json.key("metrics")
        statistics.writeMetadata(into: &json)
        json.endObject()
        return json.bytes
    }

    package func jsonV2() -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("tagValues")
        json.beginArray()
        for value in values {
            json.beginObject()
            json.member("type", value.type)
            json.member("value", value.text)
            json.endObject()
        }
        json.endArray()
        json.key("metrics")
        statistics.writeMetadata(into: &json)
        json.endObject()
        return json.bytes
    }

    package func protobuf() -> [UInt8] {
        var writer = ProtobufWriter()
        for value in values { writer.string(1, value.text, always: true) }
        statistics.encodeMetadata(2, into: &writer)
        return writer.bytes
    }

    package func protobufV2() -> [UInt8] {
        var writer = ProtobufWriter()
        for value in values {
            writer.message(1) { writer in
                writer.string(1, value.type)
                writer.string(2, value.text)
            }
        }
        statistics.encodeMetadata(2, into: &writer)
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
