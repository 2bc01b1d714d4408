// SPDX-License-Identifier: Apache-2.0
// The house rules, read off the sources.

import FoundationEssentials
import Testing

/// A text file of the repository.
struct SourceFile {
    /// Path from the package root.
    var path: String
    var lines: [Substring]

    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 1 ? String(parts[1]) : ""
    }
}

enum Repository {
    /// The package root, found from this file's own place.
    static let root: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return parts.joined(separator: "/")
    }()

    static func files(under folder: String, suffixes: [String]) -> [SourceFile] {
        let manager = FileManager.default
        guard let names = try? manager.subpathsOfDirectory(atPath: root + "/" + folder) else {
            return []
        }
        return names.sorted().compactMap { name in
            guard suffixes.contains(where: name.hasSuffix),
                let data = manager.contents(atPath: root + "/" + folder + "/" + name)
            else { return nil }
            let text = String(decoding: data, as: UTF8.self)
            return SourceFile(
                path: folder + "/" + name,
                lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    static let swift =
        files(under: "Sources", suffixes: [".swift"]) + files(under: "Tests", suffixes: [".swift"])
    static let documents =
        files(under: "docs", suffixes: [".md"])
        + ["README.md", "CHANGELOG.md"].compactMap { name in
            FileManager.default.contents(atPath: root + "/" + name).map {
                SourceFile(
                    path: name,
                    lines: String(decoding: $0, as: UTF8.self)
                        .split(separator: "\n", omittingEmptySubsequences: false))
            }
        }
}

/// What each target may import; docs/architecture.md shows the same table.
let allowedImports: [String: Set<String>] = {
    let below: Set = ["Telemetry", "Base"]
    let stores: Set = ["MetricStore", "LogStore", "TraceStore"]
    let engines: Set = ["PromQL", "LogQL", "TraceQL"]
    return [
        "Base": ["CShims"],
        "Telemetry": ["Base"],
        "Wire": below,
        "Storage": ["Base"],
        "MetricStore": below.union(["Storage"]),
        "LogStore": below.union(["Storage"]),
        "TraceStore": below.union(["Storage"]),
        "Correlation": below.union(["Storage"]),
        "PromQL": below,
        "LogQL": below.union(["PromQL"]),
        "TraceQL": below.union(["PromQL"]),
        "Diagnosis": below.union(["Correlation"]),
        "Ingest": below.union(stores).union(["Wire", "Storage", "Correlation"]),
        "Scrape": below.union(["Wire", "Ingest"]),
        "Rules": below.union(engines).union(["Ingest"]),
    ]
}()
/// What targets below `Server` may import besides.
let plainModules: Set = ["Glibc", "Synchronization"]

func importedModule(_ line: Substring) -> String? {
    let words = line.split(separator: " ")
    guard let at = words.firstIndex(of: "import"), at + 1 < words.count, at <= 2,
        words[..<at].allSatisfy({ $0.hasPrefix("@") || $0 == "package" || $0 == "public" })
    else { return nil }
    let name =
        ["struct", "class", "enum", "func", "protocol"].contains(words[at + 1])
        ? words.dropFirst(at + 2).first : words[at + 1]
    return name.flatMap { $0.split(separator: ".").first }.map(String.init)
}

@Test func importsFollowTheArchitecture() {
    var faults: [String] = []
    for file in Repository.swift where file.path.hasPrefix("Sources/") {
        guard let allowed = allowedImports[file.target] else { continue }
        for (number, line) in file.lines.enumerated() {
            guard let module = importedModule(line) else { continue }
            if !allowed.contains(module), !plainModules.contains(module) {
                faults.append("\(file.path):\(number + 1): \(file.target) imports \(module)")
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
    #expect(Repository.swift.count > 30)
}

@Test func bannedWords() {
    // Word, where it is allowed, what to do instead.
    let banned: [(word: String, except: (String) -> Bool, remedy: String)] = [
        ("import " + "Foundation\n", { _ in false }, "FoundationEssentials, in Server and up"),
        ("try" + "!", { _ in false }, "throw or handle"),
        ("fatal" + "Error(", { _ in false }, "precondition with a sentence, or an error"),
        ("TO" + "DO", { _ in false }, "finish it or leave it out"),
        ("FIX" + "ME", { _ in false }, "finish it or leave it out"),
        ("nonisolated" + "(unsafe)", { $0.hasPrefix("Sources/Base/") }, "a Mutex"),
        (
            "not " + "implemented", { $0 == "Sources/PromQL/Syntax/Parser+Selectors.swift" },
            "say what is missing and what to do"
        ),
        ("catch " + "{}", { _ in false }, "report the error"),
    ]
    var faults: [String] = []
    for file in Repository.swift where !file.path.hasPrefix("Tests/TidyTests/") {
        for (number, line) in file.lines.enumerated() {
            for rule in banned where (line + "\n").contains(rule.word) && !rule.except(file.path) {
                faults.append("\(file.path):\(number + 1): \(rule.word): \(rule.remedy)")
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func clockFilesAndEntropyHaveOneDoor() {
    // A call that belongs to one folder of Base only.
    let doors: [(call: String, folder: String)] = [
        ("clock_gettime(", "Sources/Base/Time/"), ("open(\"", "Sources/Base/Files/"),
        ("fdatasync(", "Sources/Base/Files/"), ("pwritev(", "Sources/Base/Files/"),
        ("getrandom(", "Sources/Base/Random/"),
        ("SystemRandomNumberGenerator", "Sources/Base/Random/"),
    ]
    var faults: [String] = []
    for file in Repository.swift where allowedImports[file.target] != nil {
        guard file.path.hasPrefix("Sources/") else { continue }
        for (number, line) in file.lines.enumerated() {
            let code = line.split(separator: "//", maxSplits: 1).first ?? ""
            for door in doors where code.contains(" " + door.call) || code.contains("(" + door.call)
            {
                if !file.path.hasPrefix(door.folder), !line.contains("`") {
                    faults.append("\(file.path):\(number + 1): \(door.call) outside \(door.folder)")
                }
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func uncheckedSendableNamesItsLock() {
    var faults: [String] = []
    for file in Repository.swift where file.path.hasPrefix("Sources/") {
        for (number, line) in file.lines.enumerated() where line.contains("@unchecked Sendable") {
            let before = file.lines[max(0, number - 6)..<number]
            if !line.contains("//"), !before.contains(where: { $0.contains("//") }) {
                faults.append("\(file.path):\(number + 1): say which lock or owner guards it")
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func filesAreShortAndSigned() {
    var faults: [String] = []
    for file in Repository.swift {
        if file.lines.count > 700 { faults.append("\(file.path): \(file.lines.count) lines") }
        if file.lines.first != "// SPDX-License-Identifier: Apache-2.0" {
            faults.append("\(file.path): no licence line")
        }
        let stem = file.path.split(separator: "/").last ?? ""
        for word in ["Utils", "Helpers", "Manager"] where stem.contains(word) {
            faults.append("\(file.path): \(word) says nothing; name the thing")
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func documentsHaveOneTitle() {
    var faults: [String] = []
    for document in Repository.documents {
        var inCode = false
        var titles = 0
        for line in document.lines {
            if line.hasPrefix("```") { inCode.toggle() }
            if !inCode, line.hasPrefix("# ") { titles += 1 }
        }
        if titles != 1 { faults.append("\(document.path): \(titles) titles") }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}

@Test func noPathsOfOneMachine() {
    let paths = ["/wo" + "rk/", "/ro" + "ot/", "/op" + "t/swift", "/ho" + "me/"]
    var faults: [String] = []
    for file in Repository.swift + Repository.documents {
        for (number, line) in file.lines.enumerated() {
            for path in paths where line.contains(path) {
                faults.append("\(file.path):\(number + 1): \(path)")
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
}
