//! Who is in a picture: detect faces, align, embed, calibrate, assign to the cast, and judge.
