// SPDX-License-Identifier: Apache-2.0
// Lists of names and of series in pieces.

import Base
import Telemetry

/// Label sets as a list.
struct LabelsList: JSONSource {
    private let labels: [Labels]
    private var next = 0

    init(_ labels: [Labels]) { self.labels = labels }

    mutating func write(into json: inout JSONWriter) -> Bool {
        if next == 0 { json.beginArray() }
        let end = min(labels.count, next + 64)
        for one in labels[next..<end] { writeLabels(one, into: &json) }
        next = end
        if next < labels.count { return true }
        json.endArray()
        return false
    }
}

/// Texts as a list.
struct TextList: JSONSource {
    private let texts: [String]
    private var next = 0

    init(_ texts: [String]) { self.texts = texts }

    mutating func write(into json: inout JSONWriter) -> Bool {
        if next == 0 { json.beginArray() }
        let end = min(texts.count, next + 256)
        for text in texts[next..<end] { json.string(text) }
        next = end
        if next < texts.count { return true }
        json.endArray()
        return false
    }
}
