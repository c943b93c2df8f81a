use super::*;

#[test]
fn no_name_stands_twice_in_the_same_place() {
    visit(&SUPERVISOR, &mut |element| {
        let names = element.children().iter().map(|child| child.name);
        let mut children: Vec<_> = names.collect();
        let mut attributes: Vec<_> = element.attributes.iter().map(|attribute| attribute.name).collect();
        for names in [&mut children, &mut attributes] {
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", element.name);
        }
    });
}

#[test]
fn the_limits_are_those_of_the_library() {
    let names = crate::Resource::ALL.map(crate::Resource::name);
    assert_eq!(RESOURCES, names);
}

#[test]
fn an_element_knows_where_it_belongs() {
    assert_eq!(parents_of("argument"), ["arguments", "trailingArguments", "exec", "cleanup"]);
    assert_eq!(parents_of("nonsense"), [""; 0]);
}
