// SPDX-License-Identifier: Apache-2.0
// Lists of names and of series in pieces.

import Base

/// A list, some elements at a time.
struct ListJSON<Element: Sendable>: JSONSource {
    private let elements: [Element]
    private let write: @Sendable (Element, inout JSONWriter) -> Void
    private var next = 0

    /// Elements between two looks at whether a piece is full.
    private static var stepCount: Int { 64 }

    /// - Parameter write: writes one element, one value.
    init(
        _ elements: [Element], _ write: @escaping @Sendable (Element, inout JSONWriter) -> Void
    ) {
        self.elements = elements
        self.write = write
    }

    mutating func write(into json: inout JSONWriter) -> Bool {
        if next == 0 { json.beginArray() }
        let end = min(elements.count, next + Self.stepCount)
        for element in elements[next..<end] { write(element, &json) }
        next = end
        if next < elements.count { return true }
        json.endArray()
        return false
    }
}
