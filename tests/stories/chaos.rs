//! Real processes die, stall and lose each other; jobs do not. `cargo xtask chaos --real` plays more.

use greenroom_tests::chaos::play;

#[tokio::test]
async fn a_farm_of_real_processes_comes_out_of_its_faults_whole() {
    let played = play(0).await;
    assert_eq!(played.broken, Vec::<String>::new(), "{:?}", played.planned);
    assert!(played.fired.values().sum::<u32>() >= 3, "{played:?}");
}
