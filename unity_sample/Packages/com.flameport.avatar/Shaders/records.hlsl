// What is fixed about the head and each layer: 16 rows of uint4 each in _Records, floats as their bits; then the palettes of
// joints, four a row. _Record says whose turn it is. README.md names every field.
#ifndef FLAMEPORT_RECORDS
#define FLAMEPORT_RECORDS

StructuredBuffer<uint4> _Records;
uint _Record;

#define RECORD_ROWS 16
#define NONE 0xffffffffu

#define KIND_VERTICES 0
#define KIND_FACE 1
#define KIND_SHARED_SKIN 2
#define KIND_OWN_SKIN 3

uint4 field(uint row) { return _Records[RECORD_ROWS * _Record + row]; }

uint countOf() { return field(0).x; }
uint firstOf() { return field(0).y; }
uint kindOf() { return field(0).z; }
bool isExact() { return field(0).w == 1; }

// Joint number of a palette's entry; palettes begin at row `row`.
uint jointOf(uint row, uint entry)
{
    uint4 four = _Records[row + entry / 4];
    uint low = (entry & 1) == 0 ? four.x : four.y;
    uint high = (entry & 1) == 0 ? four.z : four.w;
    return (entry & 2) == 0 ? low : high;
}

#endif
