// SPDX-License-Identifier: Apache-2.0
// Translated names of metrics, remembered.

import Base
import Testing

@testable import Wire

@Suite struct OTLPNameMemoryTests {
    private func name(
        _ memory: OTLPNameMemory, _ name: String, _ unit: String, _ kind: OTLPMetricName.Kind,
        _ strategy: TranslationStrategy
    ) -> String? {
        var name = name, unit = unit
        return name.withUTF8 { name in
            unit.withUTF8 { unit in
                memory.names(
                    UnsafeRawBufferPointer(name), unit: UnsafeRawBufferPointer(unit), kind, strategy
                ).map { String(decoding: $0.name, as: UTF8.self) }
            }
        }
    }

    @Test func namesAreThoseOfTheTranslation() {
        let memory = OTLPNameMemory()
        let names = ["http.server.duration", "a.total", "", "___", "ü", "1x"]
        // The second time all of them are known, and the strategy may have changed in between.
        for _ in 0..<3 {
            for strategy in TranslationStrategy.allCases {
                for (kind, unit) in [
                    (OTLPMetricName.Kind.gauge, "1"), (.monotonicSum, "By"), (.other, "ms"),
                ] {
                    for text in names {
                        let direct = OTLPMetricName.translate(text, unit: unit, kind, strategy)
                        #expect(
                            name(memory, text, unit, kind, strategy) == direct,
                            "\(text) \(unit) \(strategy)")
                    }
                }
            }
        }
        #expect(memory.count <= names.count * 3)
    }

    @Test func boundsHold() {
        let memory = OTLPNameMemory()
        for i in 0..<(OTLPNameMemory.capacity + 10) {
            #expect(
                name(memory, "m.\(i)", "s", .gauge, .underscoreEscapingWithSuffixes)
                    == "m_\(i)_seconds")
        }
        #expect(memory.count <= OTLPNameMemory.capacity)
        let long = String(repeating: "x", count: 300)
        let before = memory.count
        #expect(name(memory, long, "", .gauge, .noTranslation) == long)
        #expect(memory.count == before)
    }
}
