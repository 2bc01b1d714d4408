// SPDX-License-Identifier: Apache-2.0
// Targets from files.

import FoundationEssentials
import TestKit
import Testing

@testable import Scrape

private func write(_ text: String, _ path: String) throws {
    // As an editor does: a new file over the old one.
    try text.write(toFile: path + ".new", atomically: false, encoding: .utf8)
    try? FileManager.default.removeItem(atPath: path)
    try FileManager.default.moveItem(atPath: path + ".new", toPath: path)
}

@Test func filesAreFollowed() async throws {
    try await withTemporaryDirectory { folder in
        let bench = DiscoveryBench()
        var settings = FileDiscoverySettings()
        settings.files = [folder + "/tg_*.json", folder + "/single.json"]
        try write(#"[{"targets":["a:1"],"labels":{"k":"v"}}]"#, folder + "/tg_1.json")
        try write(#"[{"targets":["z:9"]}]"#, folder + "/other.json")
        let discovery = bench.discovery()
        discovery.apply(["job": [DiscoveryConfiguration(.file(settings))]])
        #expect(await bench.run { bench.addresses() == ["a:1"] })
        #expect(labels(bench.last()?.first)["__meta_filepath"] == folder + "/tg_1.json")

        try write(#"[{"targets":["b:1"]}]"#, folder + "/tg_2.json")
        #expect(await bench.run { bench.addresses() == ["a:1", "b:1"] })

        // What cannot be understood changes nothing.
        try write(#"[{"targets":["b:1"]"#, folder + "/tg_2.json")
        try write(#"[{"targets":["s:1"]}]"#, folder + "/single.json")
        #expect(await bench.run { bench.addresses() == ["s:1", "a:1", "b:1"] })
        #expect(discovery.environment.metrics.value(.fileReadErrors) >= 1)

        try FileManager.default.removeItem(atPath: folder + "/tg_1.json")
        #expect(await bench.run { bench.addresses() == ["s:1", "b:1"] })
        await discovery.shutDown()
    }
}

@Test(arguments: [
    ("tg_*.json", "tg_1.json", true), ("tg_*.json", "tg_.json", true),
    ("tg_*.json", "tg.json", false), ("*", "a", true), ("a*b*c", "aXbYc", true),
    ("a*b*c", "aXcYb", false), ("ab*ba", "aba", false),
])
func stars(pattern: String, name: String, isMatching: Bool) {
    let pieces = pattern.split(separator: "*", omittingEmptySubsequences: false)
    #expect(isMatch(name, pieces) == isMatching)
}

@Test(arguments: [
    "{}", "[1]", "[{\"targets\":1}]", "[{\"targets\":[1]}]", "[{\"labels\":[]}]",
    "[{\"labels\":{\"a\":1}}]", "[{\"labels\":{\"\":\"x\"}}]", "[{\"target\":[]}]", "[", "\u{0}",
])
func brokenTargetLists(text: String) {
    #expect(throws: DiscoveryError.self) {
        try targetGroups(Array(text.utf8), source: "s", label: NamedText("l", "v"))
    }
}

@Test func publicTargetFiles() throws {
    for name in ["file/valid.json", "http/http_sd.good.json"] {
        guard let bytes = Corpora.file("config/discovery/" + name) else { continue }
        #expect(try !targetGroups(bytes, source: "s", label: NamedText("l", "v")).isEmpty)
    }
    if let bytes = Corpora.file("config/discovery/file/invalid_nil.json") {
        #expect(throws: DiscoveryError("nil target group item found")) {
            try targetGroups(bytes, source: "s", label: NamedText("l", "v"))
        }
    }
}
