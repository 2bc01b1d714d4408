// SPDX-License-Identifier: Apache-2.0
// Which number stands for which retention rule.

import Base

/// Rows that are kept for a time of their own.
package struct RetentionRule: Sendable, Equatable {
    /// What the rule covers, in one spelling: the same text is the same class, in every start.
    package var name: String
    /// How long, by the time of the data; 0 or less = for ever.
    package var seconds: Double

    package init(name: String, seconds: Double) {
        self.name = name
        self.seconds = seconds
    }
}

/// The table of class numbers of a data directory, file `retention-classes`:
///
///     magic "TERNRETC" (8) | version u16 = 1 | zero u16 | u32 crc32c(body) | body
///     body: varint count, per class: u8 number (1...255) | varint n, name (n bytes)
///
/// A part bears one number for all its life, so a number stands for one rule as long as any part
/// bears it. It is taken back when neither a rule nor a part needs it. Class 0 is everything that
/// no rule covers, and is not in the table.
///
/// The table is written before the first part with a new number. Should it be lost all the same, the
/// numbers that parts bear are not given to other rules, and those parts stay as long as the longest
/// of all retentions says.
struct RetentionClasses: Sendable, Equatable {
    static let fileName = "retention-classes"
    static let magic: [UInt8] = Array("TERNRETC".utf8)
    static let version: UInt16 = 1
    /// Most bytes of the file that is read: 255 names of 64 KiB.
    static let maxByteCount = 16 << 20
    static let headerCount = 16

    private(set) var names: [UInt8: String] = [:]

    init() {}

    /// The numbers of some rules, in their order. Adds those that are new, and forgets numbers that
    /// neither a rule nor a part needs.
    ///
    /// - Parameter borne: numbers that parts bear or that somebody else decides about.
    /// - Throws: `KernelError.retentionClasses` when all 255 numbers are in use.
    mutating func assign(
        _ rules: [RetentionRule], borne: Set<UInt8>
    ) throws(KernelError) -> [UInt8] {
        let wanted = Set(rules.map(\.name))
        names = names.filter { wanted.contains($0.value) || borne.contains($0.key) }
        var numbers: [String: UInt8] = [:]
        for (number, name) in names { numbers[name] = min(number, numbers[name] ?? .max) }
        var result: [UInt8] = []
        for rule in rules {
            if let known = numbers[rule.name] {
                result.append(known)
                continue
            }
            let free = (1...UInt8.max).first { names[$0] == nil && !borne.contains($0) }
            guard let free else {
                throw .retentionClasses(problem: "all 255 classes are in use by parts and rules")
            }
            names[free] = rule.name
            numbers[rule.name] = free
            result.append(free)
        }
        return result
    }

    func encoded() -> [UInt8] {
        var body = ByteWriter()
        body.varint(names.count)
        for (number, name) in names.sorted(by: { $0.key < $1.key }) {
            body.u8(number)
            body.lengthPrefixed(name)
        }
        var out = ByteWriter()
        out.raw(RetentionClasses.magic)
        out.fixed(RetentionClasses.version)
        out.fixed(UInt16(0))
        out.u32(crc32c(body.bytes))
        out.raw(body.bytes)
        return out.bytes
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        for byte in RetentionClasses.magic where try reader.u8() != byte {
            throw MalformedBytes(offset: 0, expected: "the magic of a table of retention classes")
        }
        let version = UInt16(try reader.u8()) | UInt16(try reader.u8()) << 8
        guard version == RetentionClasses.version else {
            throw reader.malformed("version \(RetentionClasses.version), not \(version)")
        }
        _ = (try reader.u8(), try reader.u8())
        let crc = try reader.u32()
        guard crc32c(UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])) == crc else {
            throw reader.malformed("bytes of the checksum in the header")
        }
        for _ in 0..<(try reader.length(limit: 255, "number of classes")) {
            let number = try reader.u8()
            let name = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            guard number > 0, names[number] == nil else {
                throw reader.malformed("a class number of its own")
            }
            names[number] = name
        }
        guard reader.isAtEnd else { throw reader.malformed("the end") }
    }

    // MARK: - The file

    /// What a directory holds: an empty table when there is no file.
    ///
    /// - Throws: `FileError`, and `MalformedBytes` for a damaged file.
    static func read(
        _ directory: DataDirectory, _ files: any FileSystem
    ) throws -> RetentionClasses {
        let path = directory.path + "/" + fileName
        guard let count = try files.size(path) else { return RetentionClasses() }
        guard count <= maxByteCount else {
            throw MalformedBytes(offset: 0, expected: "at most \(maxByteCount) bytes")
        }
        let bytes = try files.readAll(path)
        return try bytes.withUnsafeBytes { try RetentionClasses(decoding: $0) }
    }

    func write(to path: String, _ files: any FileSystem) throws(FileError) {
        try files.replace(
            path + "/" + RetentionClasses.fileName, in: path, with: encoded())
    }
}

/// What opening a directory made of its retention rules.
struct OpenedRetention: Sendable {
    var classes = RetentionClasses()
    /// Class numbers of the rules, in their order.
    var numbers: [UInt8] = []
    /// Retention of every class that has one of its own.
    var secondsByClass: [UInt8: Double]
    var fault: StorageFault?

    /// Reads the table and writes it where it changes.
    ///
    /// - Parameter borne: class numbers of the parts that exist.
    init(
        _ configuration: KernelConfiguration, borne: Set<UInt8>, _ directory: DataDirectory,
        _ files: any FileSystem
    ) throws {
        secondsByClass = configuration.retentionSecondsByClass
        do {
            classes = try RetentionClasses.read(directory, files)
        } catch let error as MalformedBytes {
            fault = StorageFault(
                file: RetentionClasses.fileName, offset: error.offset,
                problem: "\(error); parts of the retention classes it named are kept as long as "
                    + "the longest retention says")
        }
        let before = classes
        let unknown = borne.filter {
            $0 != 0 && classes.names[$0] == nil && secondsByClass[$0] == nil
        }
        numbers = try classes.assign(
            configuration.retentionRules, borne: borne.union(secondsByClass.keys))
        for (rule, number) in zip(configuration.retentionRules, numbers) {
            secondsByClass[number] = rule.seconds
        }
        let all = secondsByClass.values + [configuration.retentionSeconds]
        let longest = all.contains { $0 <= 0 } ? 0 : all.max() ?? 0
        for number in unknown { secondsByClass[number] = longest }
        if classes != before || fault != nil { try classes.write(to: directory.path, files) }
    }
}
